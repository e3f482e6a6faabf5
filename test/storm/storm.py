#!/usr/bin/python3
"""A storm: clients that abort at every byte, origins that reset, names that come late or never, scrapes of the admin, and at last a drain.

  storm.py [--seconds N] [--seed N] [--workers N]

The seed decides what every client and origin does (the system decides when); it is printed and replays a run. Afterwards every gauge of
work in progress must be at zero, an honest client must have been served throughout, and the proxy must end in order. With a binary of
`--config=tsan` or `asan` (SLUICE_BINARY, SLUICE_SANITIZER) its reports count, too. Exit code 1: something of that does not hold.
"""
import argparse
import contextlib
import os
import random
import signal
import socket
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))))

from test.support import config, names  # noqa: E402
from test.support.client import Client  # noqa: E402
from test.support.dns_server import DnsServer  # noqa: E402
from test.support.origin import RawOrigin, ok  # noqa: E402
from test.support.proxy import SLOW, Proxy  # noqa: E402

PAGES = ("/stats", "/stats/prometheus", "/stats?format=json", "/clusters", "/listeners", "/config_dump", "/server_info", "/ready", "/stats?usedonly")
# What clients and origins meet when the other side aborts.
ENDS = (OSError, EOFError, ValueError, IndexError)


class Storm:
    """One run. `problems` says what does not hold."""

    def __init__(self, seed, seconds, workers=4, clients=8):
        self.seed, self.seconds = seed, seconds
        self.problems = []
        self.counts = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._workers, self._clients = workers, clients
        self._offset = 0

    def run(self):
        with contextlib.ExitStack() as stack:
            files = stack.enter_context(tempfile.TemporaryDirectory(prefix="sluice.storm."))
            origin = RawOrigin(self._serve)
            stack.callback(origin.close)
            self._port = origin.port
            # Names of the kind nN.t: 1 of 4 is there at once, the others are slow, silent, absent.
            zone = {"ok.t": names.address("127.0.0.1"), "silent.t": names.SILENT, "fail.t": names.SERVFAIL, "loop.t": {"cname": "loop.t"}}
            for number in range(0, 400, 4):
                zone["n%d.t" % number] = {"A": ["127.0.0.1"], "ttl": 0}
                zone["n%d.t" % (number + 1)] = names.SILENT
            server = DnsServer(zone)
            stack.callback(server.stop)
            routes = [config.connect(), config.forward(action={"timeout": "2s", "retry_policy": {"retry_on": "connect-failure,reset", "num_retries": 1}})]
            content = config.forward_proxy(server, routes=routes, log=os.path.join(files, "access.log"),
                                           cache={"dns_query_timeout": "1s", "host_ttl": "2s", "dns_min_refresh_rate": "1s", "max_hosts": 100})
            self._proxy = Proxy(content, files=files, concurrency=self._workers)
            stack.callback(self._proxy.kill)
            self._storm()
            self._check_end()
        return not self.problems

    def _storm(self):
        """All threads for `seconds`; then silence, a look at the gauges, and once more with a drain in the middle."""
        self._blow(self.seconds)
        try:
            self._proxy.check_idle()
        except (AssertionError, *ENDS) as error:
            self.problems.append("afterwards: %s" % error)
        with self._lock:
            good, bad = self.counts.get("honest", 0), self.counts.get("honest, failed", 0)
        if good == 0 or bad * 100 > good:
            self.problems.append("%d honest requests were served, %d were not" % (good, bad))
        if self._proxy.running():
            self._blow(min(self.seconds / 4, 3), lambda: self._proxy.signal(signal.SIGTERM))

    def _blow(self, seconds, in_the_middle=None):
        self._stop.clear()
        threads = [threading.Thread(target=self._client, args=(random.Random("%d/%d" % (self.seed, number)),)) for number in range(self._clients)]
        threads += [threading.Thread(target=self._honest, args=(in_the_middle is None,)), threading.Thread(target=self._scrape)]
        for thread in threads:
            thread.start()
        self._stop.wait(seconds / 2)
        if in_the_middle is not None:
            in_the_middle()
        self._stop.wait(seconds / 2)
        self._stop.set()
        for thread in threads:
            thread.join()

    def _check_end(self):
        try:
            code = self._proxy.wait_exit(30)
            if code != 0:
                self.problems.append("exit code %d" % code)
        except Exception as error:  # pylint: disable=broad-except
            self.problems.append("does not end: %s" % error)
        log = self._proxy.log()
        for sign in ("ThreadSanitizer", "AddressSanitizer", "runtime error:", "LeakSanitizer", "Assertion"):
            if sign in log:
                self.problems.append(log[log.index(sign) - 200 if log.index(sign) > 200 else 0:][:6000])
                break

    def _count(self, what):
        with self._lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    def _next_offset(self, size):
        """0, 1, 2 ... size, and again: every offset comes in turn, over all clients."""
        with self._lock:
            self._offset += 1
            return self._offset % (size + 1)

    # The origin: answers in some way that the path names; /honest is answered as it should be.
    def _serve(self, wire):
        wire.socket.settimeout(5 * SLOW)
        while True:
            if not wire.buffer and wire.at_eof():
                return
            request = wire.message()
            rng = random.Random(request.target)
            if request.method == "POST" and rng.random() < 0.2:
                return  # closes without an answer
            kind = request.target.split("/")[1].split("?")[0]
            body = b"x" * rng.choice((0, 1, 100, 5000, 70000))
            if kind == "honest":
                wire.send(ok(b"honest"))
                continue
            data = ok(body) if rng.random() < 0.5 else b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + (
                b"%x\r\n%s\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
            if kind == "interim":
                wire.send(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")
            if kind == "cut":
                wire.send(data[:rng.randrange(len(data))])
                return wire.reset() if rng.random() < 0.5 else None
            if kind == "garbage":
                return wire.send(bytes(rng.randrange(256) for _ in range(100)))
            wire.send(data)
            if kind == "close":
                return None

    def _client(self, rng):
        actions = (self._abort_request, self._abort_response, self._tunnel, self._names, self._pipeline, self._garbage)
        while not self._stop.is_set():
            action = rng.choice(actions)
            try:
                with Client(self._proxy.port(), 5 * SLOW) as client:
                    action(rng, client)
            except ENDS:
                pass
            self._count(action.__name__)

    def _host(self):
        return "ok.t:%d" % self._port

    def _request(self, rng):
        kind = rng.choice(("plain", "cut", "garbage", "interim", "close"))
        head = "/%s/%d HTTP/1.1\r\nHost: %s\r\n" % (kind, rng.randrange(1000), self._host())
        body = rng.choice((None, b"", b"hello" * 20))
        if body is None:
            return ("GET " + head + "\r\n").encode()
        if rng.random() < 0.5:
            return ("POST " + head + "Content-Length: %d\r\n\r\n" % len(body)).encode() + body
        return ("POST " + head + "Expect: 100-continue\r\n" * (rng.random() < 0.3) + "Transfer-Encoding: chunked\r\n\r\n").encode() + (
            b"%x\r\n%s\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"

    @staticmethod
    def _leave(rng, client):
        choice = rng.randrange(3)
        if choice == 0:
            client.reset()
        elif choice == 1:
            client.finish()
            client.rest()

    def _abort_request(self, rng, client):
        data = self._request(rng)
        client.send(data[:self._next_offset(len(data))])
        self._leave(rng, client)

    def _abort_response(self, rng, client):
        client.send(self._request(rng))
        client.read(self._next_offset(300))
        self._leave(rng, client)

    def _pipeline(self, rng, client):
        client.send(b"".join(self._request(rng) for _ in range(rng.randrange(1, 6))))
        for _ in range(rng.randrange(6)):
            client.response()
        self._leave(rng, client)

    def _tunnel(self, rng, client):
        client.send("CONNECT %s HTTP/1.1\r\nHost: x\r\n\r\n" % self._host(), self._request(rng)[:rng.randrange(50)])
        if client.head().status == 200:
            client.send(b"GET /plain/1 HTTP/1.1\r\nHost: x\r\n\r\n"[:self._next_offset(36)])
            self._leave(rng, client)

    def _names(self, rng, client):
        host = "n%d.t:%d" % (rng.randrange(400), self._port)
        client.send("%s HTTP/1.1\r\nHost: %s\r\n\r\n" % (rng.choice(("GET /plain/1", "CONNECT " + host)), host))
        if rng.random() < 0.5:
            time.sleep(rng.random() * 0.02)  # gone about when the name comes
        else:
            client.head()
        self._leave(rng, client)

    def _garbage(self, rng, client):
        client.send(bytes(rng.choice(b"GET / HTTP/1.1\r\n: \x00\xff") for _ in range(rng.randrange(200))))
        self._leave(rng, client)

    def _honest(self, counts):
        while not self._stop.is_set():
            try:
                with Client(self._proxy.port(), 10 * SLOW) as client:
                    for _ in range(20):
                        answer = client.ask("GET", "/honest", self._host())
                        if counts:
                            self._count("honest" if (answer.status, answer.body) == (200, b"honest") else "honest, failed")
                        if answer.header("connection") == "close" or self._stop.is_set():
                            break
            except ENDS:
                if counts:
                    self._count("honest, failed")
                self._stop.wait(0.01)

    def _scrape(self):
        number = 0
        while not self._stop.is_set():
            number += 1
            with contextlib.suppress(*ENDS, socket.timeout):
                self._proxy.admin(PAGES[number % len(PAGES)])
                self._count("scrapes")
            self._stop.wait(0.01)


def main():
    parser = argparse.ArgumentParser(description="Blows a storm at the proxy.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--workers", type=int, default=4)
    arguments = parser.parse_args()
    print("seed %d" % arguments.seed, flush=True)
    storm = Storm(arguments.seed, arguments.seconds, arguments.workers)
    good = storm.run()
    print(", ".join("%s %d" % (name.strip("_").replace("_", " "), count) for name, count in sorted(storm.counts.items())))
    for problem in storm.problems:
        print("PROBLEM: " + problem)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
