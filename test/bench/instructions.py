"""The instruction budget: user instructions of the proxy for one ordinary request, the same on every machine.

One connection, one request at a time, and neither the client nor the upstream speaks before the proxy sleeps: so nothing depends on
who is faster. Of several counts the smallest is taken, for a timer that fires in between can only add.
"""
import json
import os
import socket
import tempfile
import threading
import time
from types import SimpleNamespace

from test.bench import measure, peers, works

BUDGET_FILE = os.path.join(os.path.dirname(os.path.realpath(__file__)), "budget.json")
ALLOWED_GROWTH = 0.03
WARM, COUNTED, WINDOWS = 200, 150, 3
ANSWER = (b"HTTP/1.1 200 OK\r\nserver: origin\r\ncontent-type: text/plain\r\ncache-control: no-cache\r\netag: \"abc123\"\r\n"
          b"x-origin: bench\r\ncontent-length: 128\r\n\r\n" + b"x" * 128)


def receive(sock, end):
    """Reads until the bytes end with `end`."""
    data = b""
    while not data.endswith(end):
        more = sock.recv(65536)
        if not more:
            raise RuntimeError("the connection ended")
        data += more
    return data


def await_sleep(pid, seconds=5):
    """Waits until no thread of the process runs."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        states = []
        for task in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/stat" % (pid, task), encoding="ascii") as file:
                states.append(file.read().rsplit(")", 1)[1].split()[0])
        if all(state == "S" for state in states):
            return
    raise RuntimeError("the proxy does not come to rest")


class Origin(threading.Thread):
    """The upstream: one connection at a time, one answer per request."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.pid = None

    def run(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection:
            try:
                while True:
                    receive(connection, b"\r\n\r\n")
                    await_sleep(self.pid)
                    connection.sendall(ANSWER)
            except (OSError, RuntimeError):
                return


def ask(sock, pid, count):
    for _ in range(count):
        await_sleep(pid)
        sock.sendall(works.SMALL.encode())
        receive(sock, b"x" * 128)
    await_sleep(pid)


def count(binary):
    """User instructions per request of the binary's default chain."""
    origin = Origin()
    origin.start()
    with tempfile.TemporaryDirectory(prefix="sluice.budget.") as folder:
        bench = SimpleNamespace(folder=folder, sluice=binary, origin_port=origin.port, dns_port=0)
        peer = peers.Sluice(bench, "get")
        try:
            with measure.Callgrind(bench, peer) as callgrind:
                origin.pid = pid = peer.process.pid
                with socket.create_connection(("127.0.0.1", peer.port)) as sock:
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    sock.settimeout(30)
                    ask(sock, pid, WARM)
                    counts = []
                    for _ in range(WINDOWS):
                        callgrind.zero()
                        ask(sock, pid, COUNTED)
                        counts.append(callgrind.dump()[0] / COUNTED)
        finally:
            origin.listener.close()
    return round(min(counts)), [round(value) for value in counts]


def budget():
    with open(BUDGET_FILE, encoding="utf-8") as file:
        return json.load(file)["instructions_per_request"]


def verdict(measured):
    """None when the budget is kept, else what to do about it."""
    allowed = budget()
    if measured <= allowed * (1 + ALLOWED_GROWTH):
        return None
    return ("a request costs %d instructions, the budget is %d (%+.1f %%): make it cheaper, or say why in the commit "
            "that runs test/bench/budget --update" % (measured, allowed, 100 * (measured / allowed - 1)))
