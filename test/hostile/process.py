"""Rows 56 to 60: the process, its signals, its files, its clock, its memory and its threads."""
import contextlib
import os
import random
import resource
import signal
import socket
import subprocess
import threading
import time

from test.hostile.exhaustion import serves
from test.hostile.rows import NotApplicable, row
from test.storm.storm import Storm
from test.support import config
from test.support.client import Client
from test.support.origin import HttpOrigin, RawOrigin, ok
from test.support.proxy import SANITIZER, SLOW
from test.support.wait import wait_for

COMPILER = "clang-19"


class Load:
    """Clients that ask for /NUMBER on and on, kept connections and new ones by turns, until they are told to stop or there is no proxy.

    `answered` and `lost` are the numbers whose answer came whole, and those that were sent without one.
    """

    def __init__(self, port, threads=8, patience=10):
        self.answered, self.lost, self.wrong = set(), set(), []
        self._port, self._patience = port, patience
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(threads)]
        for thread in self._threads:
            thread.start()

    def _run(self, thread):
        number = thread * 1_000_000
        while not self._stop.is_set():
            try:
                client = Client(self._port, self._patience * SLOW)
            except OSError:
                self._stop.wait(0.002)
                continue
            with client:
                for _ in range(1 + number % 7):
                    number += 1
                    self.lost.add(number)
                    try:
                        answer = client.ask("GET", "/%d" % number, "h")
                    except (OSError, EOFError, ValueError, IndexError):
                        break
                    self.lost.discard(number)
                    self.answered.add(number)
                    if answer.status != 200 or answer.body != b"/%d" % number:
                        self.wrong.append((number, answer))
                    if answer.header("connection") == "close" or self._stop.is_set():
                        break

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()


def echo(request):
    return ok(request.target.encode())


def seen_by(origin):
    return {int(request.target[1:]) for request in origin.requests if request.target[1:].isdigit()}


@row(56, "SIGTERM under load")
def terminated(run):
    def slowly(wire):
        wire.message()
        wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n")
        for _ in range(20):
            wire.send(b"x" * 100)
            time.sleep(0.05)  # a stream that lasts a second
    origin = run.target.keep(HttpOrigin(echo))
    slow = run.target.keep(RawOrigin(slowly))
    tunnel = run.target.keep(RawOrigin(lambda wire: wire.send(wire.rest())))
    routes = [config.connect("tunnel"), config.forward("slow", prefix="/slow"), config.forward("origin")]
    content = config.bootstrap(config.listener(config.http(routes, upgrade_configs=[{"upgrade_type": "CONNECT"}])),
                               [config.cluster("origin", origin.port), config.cluster("slow", slow.port), config.cluster("tunnel", tunnel.port)])
    for attempt in range(3):
        proxy = run.target.start(content, arguments=["--drain-time-s", "20"])
        load = Load(proxy.port())
        with Client(proxy.port(), 20 * SLOW) as stream, Client(proxy.port(), 20 * SLOW) as tunnelled:
            stream.request("GET", "/slow", "h")
            stream.head()
            tunnelled.request("CONNECT", "h:1", "h:1")
            run.check(tunnelled.head().status == 200, "no tunnel")
            wait_for(lambda: len(load.answered) > 200, 20 * SLOW, "load")
            proxy.signal(signal.SIGTERM)
            run.check(len(stream.read(2000)) == 2000, "a stream was cut")
            tunnelled.send("still there")
            tunnelled.finish()
            run.check(tunnelled.rest() == b"still there", "a tunnel was cut")
        code = proxy.wait_exit(20)
        load.stop()
        lost = load.lost & seen_by(origin)
        run.check(code == 0, "exit code %d" % code)
        run.check(not lost and not load.wrong, "run %d: %d of %d requests reached the origin and were not answered, wrong: %r" %
                  (attempt, len(lost), len(load.answered), load.wrong[:3]))
        origin.requests.clear()
    # A tunnel that does not end is cut when the time is up, and a second signal does not wait for it.
    for arguments, signals, limit in ((["--drain-time-s", "1"], 1, 5), (["--drain-time-s", "600"], 2, 5)):
        proxy = run.target.start(content, arguments=arguments)
        with Client(proxy.port()) as tunnelled:
            tunnelled.request("CONNECT", "h:1", "h:1")
            tunnelled.head()
            for number in range(signals):
                proxy.signal(signal.SIGTERM)
                if number + 1 < signals:
                    wait_for(lambda: "draining" in proxy.log(), 5 * SLOW, "the drain")
            began = time.monotonic()
            run.check(proxy.wait_exit(30) == 0, "%d signals: exit code" % signals)
            run.check(time.monotonic() - began < limit * SLOW, "%d signals: ended after %.1f s" % (signals, time.monotonic() - began))


@row(57, "kill -9 and restart")
def killed(run):
    origin = run.target.keep(HttpOrigin(echo))
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
    pipe = run.target.path("listener.sock")
    manager = config.http([config.forward("origin")])
    content = config.bootstrap([config.listener(manager, address=config.socket_address(port=port)),
                                config.listener(config.http([config.forward("origin")], prefix="unix"), name="unix", address={"pipe": {"path": pipe}})],
                               [config.cluster("origin", origin.port)])
    load = Load(port, threads=4)
    slowest = 0.0
    try:
        for number in range(20):
            began = time.monotonic()
            proxy = run.target.start(content)
            slowest = max(slowest, time.monotonic() - began)
            answered = len(load.answered)
            wait_for(lambda: len(load.answered) > answered + 5, 10 * SLOW, "answers after start %d" % number)
            with Client(pipe) as client:
                run.check(client.ask("GET", "/unix", "h").status == 200, "start %d: the Unix socket is not served" % number)
            proxy.kill()
    finally:
        load.stop()
    run.check(slowest < 5 * SLOW, "a start took %.1f s" % slowest)
    run.check(not load.wrong, "wrong answers: %r" % load.wrong[:3])


def logging_to(run, path, **keywords):
    manager = config.http([config.forward("origin")], log=path)
    origin = run.target.keep(HttpOrigin(ok(b"good")))
    return run.target.start(config.bootstrap(config.listener(manager), [config.cluster("origin", origin.port)]), **keywords)


def traffic_goes_on(run, label, proxy, count=300):
    """No request fails or waits; what cannot be written is counted."""
    slowest = 0.0
    with Client(proxy.port(), 10 * SLOW) as client:
        for _ in range(count):
            began = time.monotonic()
            answer = client.ask("GET", "/" + "x" * 200, "h")
            slowest = max(slowest, time.monotonic() - began)
            if answer.status != 200:
                run.check(False, "%s: answered %d" % (label, answer.status))
    run.check(slowest < 1 * SLOW, "%s: one request took %.2f s" % (label, slowest))

    def counted():
        stats = proxy.stats("filesystem|access_log|entries_dropped|write_failed")
        return sum(value for name, value in stats.items() if name.endswith(("entries_dropped", "write_failed", "reopen_failed")))
    return counted


@contextlib.contextmanager
def small_file_system(run):
    """A file system of 64 KiB; None where this user may not mount one."""
    folder = run.target.path("small")
    os.mkdir(folder)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=False, stderr=subprocess.DEVNULL).returncode != 0:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=False)


@row(58, "logs that cannot be written")
def broken_logs(run):
    counted = traffic_goes_on(run, "/dev/full", logging_to(run, "/dev/full"))
    wait_for(counted, 10 * SLOW, "/dev/full: a count of what was lost")
    run.check(True, "")
    fifo = run.target.path("fifo")
    os.mkfifo(fifo)
    proxy = logging_to(run, fifo)
    counted = traffic_goes_on(run, "FIFO without a reader", proxy)
    wait_for(counted, 10 * SLOW, "FIFO: a count of what was lost")
    # A reader that comes later gets what is written from then on.
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        def read():
            serves(proxy)
            with contextlib.suppress(BlockingIOError):
                return b'"code":200' in os.read(reader, 65536).replace(b" ", b"")
            return False
        wait_for(read, 10 * SLOW, "lines for a reader that came late")
    finally:
        os.close(reader)
    counted = traffic_goes_on(run, "a folder in place of the file", logging_to(run, "/proc/self/absent/log")) if may_start(run) else None
    with small_file_system(run) as folder:
        if folder is None:
            return
        path = os.path.join(folder, "access.log")
        proxy = logging_to(run, path)
        counted = traffic_goes_on(run, "a full file system", proxy, 1000)
        wait_for(counted, 10 * SLOW, "ENOSPC: a count of what was lost")
        # There is room again: it resumes.
        os.truncate(path, 0)
        wait_for(lambda: serves(proxy) and os.path.getsize(path) > 0, 10 * SLOW, "lines after there is room again")
        subprocess.run(["mount", "-o", "remount,ro", folder], check=False, stderr=subprocess.DEVNULL)
        traffic_goes_on(run, "a read-only file system", proxy)
        proxy.signal(signal.SIGUSR1)
        traffic_goes_on(run, "reopened on a read-only file system", proxy)


def may_start(run):
    """A log that cannot be opened at the start is refused there, in plain words; that is as good."""
    try:
        logging_to(run, "/proc/self/absent/log")
    except AssertionError as error:
        run.check("/proc/self/absent/log" in str(error), "the refusal does not name the file: %s" % str(error)[-300:])
        return False
    return True


def jump(path, text):
    with open(path + ".new", "w", encoding="ascii") as file:
        file.write(text + "\n")
    os.rename(path + ".new", path)


def clock_jumps(run):
    """The wall clock goes an hour forth and back; no timeout of ours may notice."""
    library, now = run.target.path("wall_clock.so"), run.target.path("now")
    source = os.path.join(os.path.dirname(os.path.realpath(__file__)), "wall_clock.c")
    subprocess.run([COMPILER, "-shared", "-fPIC", "-o", library, source], check=True, timeout=60)
    jump(now, "0")
    origin = run.target.keep(RawOrigin(lambda wire: (wire.message(), wire.rest())))
    manager = config.http([config.forward("origin", action={"timeout": "2s"})], log=run.target.path("jump.log"))
    proxy = run.target.start(config.bootstrap(config.listener(manager), [config.cluster("origin", origin.port)]),
                             environment={"LD_PRELOAD": library, "SLUICE_WALL_CLOCK": now})
    days = []
    for seconds in ("0", "86400", "-86400", "0"):
        with Client(proxy.port(), 20 * SLOW) as client:
            began = time.monotonic()
            client.request("GET", "/", "h")
            proxy.wait_stat("cluster.origin.upstream_rq_active", 1)
            jump(now, seconds)
            answer = client.response()
            took = time.monotonic() - began
            days.append(answer.header("date")[5:7])
            run.check(answer.status == 504 and 1.5 < took < 4 * SLOW, "the clock jumps to %s: %d after %.1f s" % (seconds, answer.status, took))
    run.check(len(set(days)) == 3, "the clock did not jump: %s" % days)


@row(59, "little memory, stops and clocks that jump")
def starved(run):
    origin = run.target.keep(HttpOrigin(ok(b"good")))
    content = config.bootstrap(config.listener(config.http([config.forward("origin")])), [config.cluster("origin", origin.port)])
    # Stopped for a while: what waited is served, timers are sane.
    proxy = run.target.start(content)
    with Client(proxy.port(), 20 * SLOW) as client:
        run.check(client.ask("GET", "/", "h").status == 200, "not served")
        proxy.signal(signal.SIGSTOP)
        client.request("GET", "/", "h")
        began = time.monotonic()
        wait_for(lambda: time.monotonic() - began > 3, 4, "three seconds of standstill")
        proxy.signal(signal.SIGCONT)
        run.check(client.response().status == 200, "not served after SIGCONT")
    if SANITIZER:
        return  # It does not like to be preloaded after others, and needs terabytes of address space.
    clock_jumps(run)
    # Hardly more address space than it has at rest: it sheds or ends connections, and stays up.
    with open("/proc/%d/statm" % proxy.pid, encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.prlimit(proxy.pid, resource.RLIMIT_AS, (used + (16 << 20), resource.RLIM_INFINITY))
    with contextlib.ExitStack() as stack:
        for _ in range(2000):
            with contextlib.suppress(OSError):
                client = stack.enter_context(Client(proxy.port(), 5 * SLOW))
                client.send(b"GET / HTTP/1.1\r\nHost: h\r\nX-A: " + b"a" * 15000)
        run.check(proxy.running(), "it ended: %s" % proxy.log()[-500:])
    proxy.wait_stat("http.ingress.downstream_cx_active", 0, 20)
    run.check(serves(proxy), "an honest client is not served afterwards")


@row(60, "everything at once")
def storm(run):
    if run.target.address is not None:
        raise NotApplicable("needs a configuration of its own")
    seed = int(os.environ.get("SLUICE_SEED", "0")) or random.randrange(1 << 32)
    blown = Storm(seed, 20 if os.environ.get("SLUICE_FULL") else 5)
    run.check(blown.run(), "SLUICE_SEED=%d: %s" % (seed, "; ".join(blown.problems)))
    run.check(min(blown.counts.values()) > 3, "%s" % blown.counts)
