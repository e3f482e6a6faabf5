"""Rows 19 to 30: peers that take as much as they can get of memory, time, connections and descriptors."""
import contextlib
import resource
import socket
import time

from test.hostile.rows import NotApplicable, row
from test.support import config
from test.support.client import Client
from test.support.origin import HttpOrigin, RawOrigin, ok
from test.support.proxy import SANITIZER, SLOW
from test.support.wait import wait_for

MEGABYTE = 1 << 20


def own(run, content=None, **keywords):
    """A proxy of our own before an origin that answers "good"; (proxy, origin)."""
    origin = run.target.keep(HttpOrigin(ok(b"good")))
    if content is None:
        content = config.bootstrap(config.listener(config.http([config.forward("origin")], **keywords.pop("manager", {}))),
                                   [config.cluster("origin", origin.port, **keywords.pop("cluster", {}))])
    return run.target.start(content, **keywords), origin


def serves(proxy, timeout=10.0):
    """Whether a well-behaved client is served, and in how many seconds."""
    began = time.monotonic()
    with Client(proxy.port(), timeout * SLOW) as client:
        answer = client.ask("GET", "/honest", "h")
    return (answer.status, answer.body) == (200, b"good") and time.monotonic() - began


def ended(client, seconds=10):
    """What comes until the proxy ends the connection; None when it does not end."""
    client.socket.settimeout(seconds * SLOW)
    try:
        return client.rest()
    except socket.timeout:
        return None


@contextlib.contextmanager
def many(proxy, count, timeout=10.0, data=b""):
    """That many connections, each of which has sent `data`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2 * count + 200)), hard))
    port = proxy.port()
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(count):
            # Turned away at once: for the row to judge.
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                clients.append(stack.enter_context(Client(port, timeout * SLOW)))
                clients[-1].send(data)
        yield clients


@row(19, "slow heads")
def slow_heads(run):
    proxy, _ = own(run, manager={"request_headers_timeout": "2s"})
    serves(proxy)
    before, count = proxy.rss(), 1000
    with many(proxy, count, data=b"GET / HTTP/1.1\r\nHost: h\r\nX-Slow: ") as clients:
        proxy.wait_stat("http.ingress.downstream_cx_active", count, 10)
        each = (proxy.rss() - before) / count
        # About 10 KiB: the session, and the one page of its read buffer that has been written to.
        run.check(SANITIZER or each <= 12 * 1024, "%d bytes for a connection" % each)
        run.check(serves(proxy), "an honest client is not served meanwhile")
        began = time.monotonic()
        for client in clients:
            # More bytes of it, one now and then, do not help.
            with contextlib.suppress(OSError):
                client.send(b"x")
        answers = [ended(client) or b"" for client in clients]
        run.check(all(answer.startswith(b"HTTP/1.1 408") for answer in answers),
                  "%d of %d got a 408" % (sum(answer.startswith(b"HTTP/1.1 408") for answer in answers), count))
        run.check(time.monotonic() - began < 10 * SLOW, "closed only after %.1f s" % (time.monotonic() - began))
    run.check(proxy.stat("http.ingress.downstream_rq_header_timeout") == count, "not all are counted")


@row(20, "slow bodies and slow readers")
def slow_bodies(run):
    size = 100 * MEGABYTE

    def pour(wire):
        wire.socket.settimeout(60)
        wire.message()
        wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        chunk = b"x" * MEGABYTE
        with contextlib.suppress(OSError):
            for _ in range(100):
                wire.send(chunk)
                poured.append(1)
    poured = []
    flood = run.target.keep(RawOrigin(pour))
    quiet = run.target.keep(HttpOrigin(ok(b"good")))
    manager = config.http([config.forward("flood", prefix="/flood"), config.forward("quiet")], stream_idle_timeout="2s")
    proxy = run.target.start(config.bootstrap(config.listener(manager), [config.cluster("flood", flood.port), config.cluster("quiet", quiet.port)]))
    serves(proxy)
    before = proxy.rss()
    with contextlib.ExitStack() as stack:
        uploads = []
        for _ in range(50):
            uploads.append(stack.enter_context(Client(proxy.port())))
            uploads[-1].send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nx")
        readers = []
        for _ in range(4):
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", proxy.port()))
            stack.callback(connection.close)
            connection.sendall(b"GET /flood HTTP/1.1\r\nHost: h\r\n\r\n")
            readers.append(connection)
        wait_for(lambda: len(poured) >= 4, 10 * SLOW, "bytes of the flood")
        run.check(serves(proxy), "an honest client is not served meanwhile")
        grown = proxy.rss() - before
        # 1 MiB is the buffer limit of a direction; the 54 connections have small ones besides.
        run.check(SANITIZER or grown < 12 * MEGABYTE, "%d KiB more memory for 4 readers of 100 MB and 50 writers" % (grown >> 10))
        answers = [ended(client) for client in uploads]
        run.check(all(answer is not None and answer.startswith(b"HTTP/1.1 408") for answer in answers),
                  "slow bodies: %r" % answers[:3])
        proxy.wait_stat("http.ingress.downstream_rq_active", 0, 15)
    run.check(len(poured) < 100, "the origin was read to its end for a client that does not read")
    counted = proxy.stat("http.ingress.downstream_rq_idle_timeout")
    run.check(counted >= 54, "%d of 54 are counted" % counted)


@row(21, "huge heads")
def huge_heads(run):
    proxy, origin = own(run)
    served = len(origin.requests)
    cases = {"one field of 10 MB": b"X-A: " + b"a" * 10_000_000 + b"\r\n", "a name of 1 MB": b"a" * 1_000_000 + b": x\r\n",
             "100,000 fields": b"".join(b"a%05d: b\r\n" % number for number in range(100_000)), "100,000 short ones": b"a:b\r\n" * 100_000,
             "101 fields": b"a: b\r\n" * 101, "a field of 61 KB": b"X-A: " + b"a" * 61 * 1024 + b"\r\n",
             "100,000 crumbs": b"Cookie: a=b\r\n" * 100_000, "a path of 10 MB": None}
    for label, fields in cases.items():
        before = proxy.cpu()
        with Client(proxy.port(), 20 * SLOW) as client:
            head = b"GET /" + (b"" if fields is not None else b"a" * 10_000_000) + b" HTTP/1.1\r\nHost: h\r\n"
            with contextlib.suppress(OSError):  # It does not listen to the end.
                client.send(head + (fields or b"") + b"\r\n")
            answer = ended(client)
        used = proxy.cpu() - before
        statuses = (b"HTTP/1.1 431", b"HTTP/1.1 414", b"HTTP/1.1 400", b"")
        run.check(answer is not None and answer.startswith(statuses) and (answer or label.startswith(("one", "a ", "100,"))) is not None,
                  "%s: %r" % (label, answer and answer[:60]))
        run.check(used < 0.5 * SLOW, "%s: %.2f s of CPU" % (label, used))
    run.check(len(origin.requests) == served, "the origin got %d of them" % (len(origin.requests) - served))
    run.check(serves(proxy), "an honest client is not served")


def spent(proxy, port, head, pieces, answer_prefix):
    """CPU seconds for one request with a body of `pieces`; the status line must begin with one of `answer_prefix`."""
    before = proxy.cpu()
    with Client(port, 60 * SLOW) as client:
        with contextlib.suppress(OSError):
            client.send(head)
            for piece in pieces:
                client.send(piece)
        answer = client.line()
    return proxy.cpu() - before, answer.startswith(answer_prefix), answer


@row(26, "tiny chunks and long extensions")
def tiny_chunks(run):
    total = 2 * MEGABYTE

    def count(wire):
        # The body is made of "x", which stands nowhere else in it: counted, not parsed.
        wire.socket.settimeout(60 * SLOW)
        head = wire.head()
        tail = bytes(wire.buffer)[-8:]
        bodies[-1] += wire.buffer.count(b"x")
        while not tail.endswith(b"0\r\n\r\n") and head.method == "POST":
            data = wire.socket.recv(1 << 20)
            if not data:
                return
            bodies[-1:] = [bodies[-1] + data.count(b"x")]
            tail = (tail + data)[-8:]
        whole.append(head.method)
        # It ends here: said, so that the next request, which cannot be repeated, does not meet its end.
        wire.send(ok(b"good", "connection: close"))
    bodies, whole = [0], []
    origin = run.target.keep(RawOrigin(count))
    proxy = run.target.start(config.bootstrap(config.listener(config.http([config.forward("origin", action={"timeout": "0s"})])),
                                              [config.cluster("origin", origin.port)]))
    serves(proxy)
    head = b"POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    plain, good, answer = spent(proxy, proxy.port(), head, [b"%x\r\n" % total + b"x" * total + b"\r\n0\r\n\r\n"], b"HTTP/1.1 200")
    run.check(good, "plain: %r" % answer)
    tiny, good, answer = spent(proxy, proxy.port(), head, [b"1\r\nx\r\n" * (total // 16)] * 16 + [b"0\r\n\r\n"], b"HTTP/1.1 200")
    run.check(good, "chunks of one byte: %r" % answer)
    run.check(bodies == [2 * total], "%r of %d bytes came" % (bodies, 2 * total))
    # Clock ticks are 10 ms: below them nothing can be said.
    run.check(tiny < 100 * max(plain, 0.02), "chunks of one byte cost %.2f s, one chunk %.2f s" % (tiny, plain))
    served = len(whole)
    extension = b"1;a=" + b"b" * 4000 + b"\r\nx\r\n"
    cost, good, answer = spent(proxy, proxy.port(), head, [extension * 100] * 100 + [b"0\r\n\r\n"], (b"HTTP/1.1 400", b"HTTP/1.1 413", b"HTTP/1.1 503"))
    run.check(good and cost < 0.5 * SLOW, "40 MB of extensions: %r, %.2f s" % (answer, cost))
    run.check(len(whole) == served, "the origin got them")
    run.check(serves(proxy), "an honest client is not served")


@row(28, "more connections than descriptors")
def many_idle(run):
    # As many as its descriptors allow are kept; every other is turned away at once, and there is no spinning.
    proxy, _ = own(run, open_files=1024)
    with Client(proxy.port(), 20 * SLOW) as old:
        run.check(old.ask("GET", "/", "h").status == 200, "not served at first")
        before, began = proxy.cpu(), time.monotonic()
        with many(proxy, 3000) as clients:
            proxy.wait_stat("http.ingress.downstream_cx_active", 480, 10)
            turned_away = 3000 - len(clients)
            for client in clients:
                client.socket.settimeout(0)
                with contextlib.suppress(BlockingIOError):
                    try:
                        turned_away += client.socket.recv(1) == b""
                    except ConnectionResetError:
                        turned_away += 1
            run.check(turned_away == 3000 + 1 - 480, "%d turned away" % turned_away)
            run.check(old.ask("GET", "/", "h").status == 200, "an old connection is not served")
            run.check(all(proxy.admin("/ready").status == 200 for _ in range(3)), "the admin is not served")
            before, began = proxy.cpu(), time.monotonic()
            wait_for(lambda: time.monotonic() - began > 1, 3, "a second to measure")
            used = (proxy.cpu() - before) / (time.monotonic() - began)
            run.check(used < 0.2 * SLOW, "it spins: %.2f s of CPU a second" % used)
        proxy.wait_stat("http.ingress.downstream_cx_active", 1, 10)
        run.check(serves(proxy), "no room after they have gone")


@row(29, "a pool that is used up")
def used_up(run):
    held = []

    def hold(wire):
        wire.message()
        held.append(wire)
        wire.socket.settimeout(60)
        wire.rest()
    origin = run.target.keep(RawOrigin(hold))
    proxy = run.target.start(config.bootstrap(
        config.listener(config.http([config.forward("origin", action={"timeout": "0s"})], log=run.target.path("used_up.log"))),
        [config.cluster("origin", origin.port, **config.breakers(max_connections=1, max_pending_requests=2, max_requests=1000))]),
        concurrency=1)
    ask = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
    with contextlib.ExitStack() as stack:
        stack.enter_context(many(proxy, 1, data=ask))
        wait_for(lambda: held, 10 * SLOW, "the one connection")
        stack.enter_context(many(proxy, 2, data=ask))
        proxy.wait_stat("cluster.origin.upstream_rq_pending_total", 3)
        before, began = proxy.rss(), time.monotonic()
        refused, flags = 0, 0
        with Client(proxy.port(), 10 * SLOW) as client:
            for _ in range(500):
                answer = client.ask("GET", "/", "h")
                refused += answer.status == 503
                flags += answer.header("x-envoy-overloaded") == "true"
        each = (time.monotonic() - began) / 500
        run.check((refused, flags) == (500, 500), "%d refused, %d with x-envoy-overloaded" % (refused, flags))
        run.check(each < 0.02 * SLOW, "%.1f ms for a refusal" % (each * 1000))
        run.check(SANITIZER or proxy.rss() - before < MEGABYTE, "%d KiB more memory" % ((proxy.rss() - before) >> 10))
        run.check(proxy.stat("cluster.origin.upstream_rq_pending_total") == 3, "the queue grew")
        run.check(len(held) == 1, "%d connections" % len(held))
        lines = [line for line in proxy.lines(run.target.path("used_up.log"), 500) if '"flags":"UO"' in line.replace(" ", "")]
        run.check(len(lines) == 500, "%d log lines with UO" % len(lines))
    proxy.wait_stat("cluster.origin.upstream_rq_active", 0, 10)


@row(30, "expressions that take for ever")
def expressions(run):
    path = "/" + "a" * 10_000 + "!"
    evil = ("/(a+)+$", "/(a|aa)+$", "/(.*a){20}$", "/([a-zA-Z]+)*$")
    routes = [config.forward("origin", match={"safe_regex": {"regex": expression}}) for expression in evil]
    for one in routes:
        del one["match"]["prefix"]
    deny = config.typed("envoy.filters.http.rbac", "envoy.extensions.filters.http.rbac.v3.RBAC", rules={"action": "DENY", "policies": {
        "p%d" % number: {"permissions": [{"url_path": {"path": {"safe_regex": {"regex": expression}}}}], "principals": [{"any": True}]}
        for number, expression in enumerate(evil[:3])}})
    origin = run.target.keep(HttpOrigin(ok(b"good")))
    hosts = [config.virtual_host(routes + [config.forward("origin", prefix="/honest"), config.direct(404)])]
    proxy = run.target.start(config.bootstrap(config.listener(config.http(hosts=hosts, filters=[deny])), [config.cluster("origin", origin.port)]))
    before = proxy.cpu()
    with Client(proxy.port(), 20 * SLOW) as client:
        for _ in range(20):
            status = client.ask("GET", path, "h").status
            run.check(status == 404, "%d" % status)
        status = client.ask("GET", "/aaaa", "h").status
        run.check(status == 403, "what matches: %d" % status)
    run.check(proxy.cpu() - before < 1 * SLOW, "%.2f s of CPU" % (proxy.cpu() - before))
    run.check(serves(proxy), "an honest client is not served")
    # An expression that would be too large is refused when it is loaded.
    huge = config.forward("origin", match={"safe_regex": {"regex": "((a{1,100}){1,100}){1,100}"}})
    del huge["match"]["prefix"]
    try:
        run.target.start(config.bootstrap(config.listener(config.http([huge])), [config.cluster("origin", 1)]))
        run.check(False, "((a{1,100}){1,100}){1,100} is taken")
    except AssertionError as error:
        run.check("regex" in str(error), "the refusal does not say what is wrong: %s" % str(error)[-300:])


def _later(number, title, why):
    @row(number, title)
    def not_yet(_):
        raise NotApplicable(why)
    return not_yet


for _number, _title in ((22, "HPACK bombs"), (23, "CONTINUATION and empty frames"), (24, "rapid reset and frame floods"), (25, "stream churn")):
    _later(_number, _title, "there is no HTTP/2 yet")
_later(27, "compression bombs", "nothing is decompressed yet")
