"""Rows 46 to 48: origins that misbehave."""
import contextlib
import itertools
import socket
import threading
import time

from test.hostile.framing import failed, reply
from test.hostile.rows import row
from test.support import config
from test.support.client import Client
from test.support.origin import HttpOrigin, RawOrigin, closed_port, ok
from test.support.proxy import SLOW


def refusing(outcome):
    return len(outcome.statuses) == 1 and outcome.statuses[0] in (502, 503, 504)


@row(46, "origins that are not there")
def absent(run):
    target = run.target
    target.check()
    port, holder = closed_port()
    with holder, target.client() as client:
        status = client.ask("GET", "/", "%s:%d" % (target.origin_host, port)).status
        run.check(status in (502, 503), "refused: %d" % status)
    black_hole(run)
    run.answered("reset when accepted", lambda wire: wire.reset(), refusing)
    run.answered("closed before the head", lambda wire: wire.message() and None, refusing)
    run.answered("closed in the head", reply(b"HTTP/1.1 200 OK\r\ncontent-le"), refusing)
    for method, body in (("POST", b"x"), ("PATCH", b"x")):
        outcome = run.answered("%s closed before the head" % method, lambda wire: wire.message() and None, refusing, method=method, body=body)
        run.check(outcome.connections == 1, "%s was sent %d times" % (method, outcome.connections))
    # The origin closes idle connections just when the next request comes: each is answered, a POST reaches the origin once at most.
    def once(wire):
        request = wire.message()
        seen.append(request.target)
        wire.send(ok(request.target.encode()))
    seen = []
    origin = target.keep(RawOrigin(once, address=target.listen_address))
    with target.client() as client:
        for number in range(40):
            path = "/%d" % number
            answer = client.ask("GET", path, target.authority(origin))
            run.check((answer.status, answer.text()) == (200, path), "GET %s after an idle close: %d" % (path, answer.status))
    for number in range(40):
        path = "/post%d" % number
        with target.client() as client:
            answer = client.ask("POST", path, target.authority(origin), body=b"x")
            run.check(answer.status in (200, 503) and seen.count(path) <= 1, "POST %s: %d, seen %d times" % (path, answer.status, seen.count(path)))


def black_hole(run):
    """A port that takes no further connection and refuses none."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((run.target.listen_address, 0), backlog=0))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", listener.getsockname()[1]))
        with run.target.client(run.target.patience) as client:
            status = client.ask("GET", "/", "%s:%d" % (run.target.origin_host, listener.getsockname()[1])).status
    run.check(status in (502, 503, 504), "black hole: %d" % status)


@row(47, "responses without end, and too many")
def endless(run):
    def head_for_ever(wire):
        wire.message()
        wire.send(b"HTTP/1.1 200 OK\r\n")
        for number in range(100):
            wire.send(b"x-%d: y\r\n" % number)
            time.sleep(0.3)

    def drip(wire):
        wire.message()
        for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-a: " + b"b" * 100:
            wire.send(bytes([byte]))
            time.sleep(0.1)
    run.answered("head without end", head_for_ever, refusing)
    run.answered("a byte now and then", drip, refusing)
    run.answered("no answer", lambda wire: wire.rest(), refusing)
    run.answered("head of 10 MB", reply(b"HTTP/1.1 200 OK\r\nx-a: " + b"b" * 10_000_000 + b"\r\n\r\n"), refusing)
    run.answered("100,000 fields", reply(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100_000 + b"\r\n"), refusing)
    early = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
    final = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    run.answered("1,000 times 103", reply(early * 1000 + final),
                 lambda outcome: outcome.statuses[-1:] in ([200], [502], [503]) and len(outcome.statuses) <= 1001)
    run.answered("101", reply(b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + final), failed)
    surplus(run, "extra bytes", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")
    for _ in range(5):
        late_surplus(run)
    surplus(run, "after a chunked one", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\nevil")
    surplus(run, "after 204", b"HTTP/1.1 204 No\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")
    surplus(run, "after 304", b"HTTP/1.1 304 No\r\ncontent-length: 4\r\n\r\nevil")
    surplus(run, "after HEAD", b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil", method="HEAD")


def late_surplus(run):
    """A second response comes while the connection waits in the pool: the next request must not get it for its answer."""
    sent = threading.Event()

    def serve(wire):
        while True:
            if not wire.buffer and wire.at_eof():
                return
            if wire.message().target != "/first":
                wire.send(ok(b"good"))
                continue
            wire.send(ok(b"first"))
            go.wait(5)
            wire.send(ok(b"evil"))
            sent.set()
    go = threading.Event()
    origin = run.target.keep(RawOrigin(serve, address=run.target.listen_address))
    authority = run.target.authority(origin)
    with run.target.client() as client:
        client.ask("GET", "/first", authority)
        go.set()
        sent.wait(5)
        # On loopback the bytes are there when send() returns.
        answers = [client.ask("GET", "/%d" % number, authority).body for number in range(3)]
    run.check(answers == [b"good"] * 3, "a response that comes later: %r" % answers)


def surplus(run, label, answer, method="GET"):
    """An origin that says more than it was asked: nobody hears the rest, and the connection is not used again."""
    seen, lock, numbers = [], threading.Lock(), itertools.count()

    def serve(wire):
        number = next(numbers)
        while True:
            if not wire.buffer and wire.at_eof():
                return
            request = wire.message()
            with lock:
                seen.append((number, request.target))
            wire.send(answer if request.target == "/first" else ok(b"good"))
    origin = run.target.keep(RawOrigin(serve, address=run.target.listen_address))
    authority = run.target.authority(origin)
    with run.target.client() as client:
        first = client.ask(method, "/first", authority)
        second = client.ask("GET", "/second", authority) if first.header("connection") != "close" else None
    good = second is None or (second.status, second.body) == (200, b"good")
    for _ in range(3):
        with run.target.client() as client:
            answer_after = client.ask("GET", "/after", authority)
            good = good and (answer_after.status, answer_after.body) == (200, b"good")
    reused = [number for number, path in seen if path != "/first" and number == seen[0][0]]
    run.check(good and not reused and b"evil" not in first.body,
              "%s: %r, then %r; used again: %s" % (label, first, second, bool(reused)))


@row(48, "responses with a wrong length")
def wrong_length(run):
    def incomplete(outcome):
        # The client can tell: an error, or an end before the length or the last chunk.
        return refusing(outcome) or (not outcome.statuses and outcome.closed)
    ok_head = b"HTTP/1.1 200 OK\r\n"
    run.answered("too short", reply(ok_head + b"content-length: 10\r\n\r\nhello"), incomplete)
    run.answered("chunk cut", reply(ok_head + b"transfer-encoding: chunked\r\n\r\n5\r\nhel"), incomplete)
    run.answered("no last chunk", reply(ok_head + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"), incomplete)
    run.answered("bad chunk", reply(ok_head + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n"), incomplete)
    run.answered("chunk line cut", reply(ok_head + b"transfer-encoding: chunked\r\n\r\n5"), incomplete)
    run.answered("two lengths", reply(ok_head + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello!"), failed)
    for value in (b"+5", b"-1", b"0x5", b"5,6", b"99999999999999999999"):
        run.answered("content-length %r" % value, reply(ok_head + b"content-length: " + value + b"\r\n\r\nhello"), failed)
    run.answered("both lengths", reply(ok_head + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
                 lambda outcome: failed(outcome) or (outcome.statuses == [200] and outcome.answers[0].body == b"hello"))
    run.answered("unknown coding", reply(ok_head + b"transfer-encoding: gzip\r\n\r\nhello"),
                 lambda outcome: failed(outcome) or incomplete(outcome) or outcome.statuses == [200])
    for line in (b"HTTP/1.1 99 No", b"HTTP/1.1 1000 No", b"HTTP/1.1 2x0 No", b"HTTP/1.1", b"HTTP/2.0 200 OK", b"ICY 200 OK", b"200 OK", b"HTTP/1.1 -20 No",
                 b"HTTP/1.1  200 OK", b"http/1.1 200 OK"):
        run.answered("status line %r" % line, reply(line + b"\r\ncontent-length: 5\r\n\r\nhello"), failed)
    run.answered("HTTP/0.9", reply(b"<html>hello</html>\r\n"), failed)
    origin = run.target.keep(HttpOrigin(lambda request: b"HTTP/1.1 204 No\r\ncontent-length: 4\r\n\r\nevil", address=run.target.listen_address))
    with run.target.client() as client:
        answer = client.ask("GET", "/", run.target.authority(origin))
        run.check(answer.status in (204, 502, 503) and answer.header("content-length") is None or answer.status != 204,
                  "204 with a length: %r" % answer)


@row(49, "a response before the request has ended")
def early_answer(run):
    # The origin answers when it has the head and says no more; the client sends half of its body and waits for the answer, or goes on.
    for label, close, rest in (("the client stops", False, False), ("the client goes on", False, True), ("the origin closes", True, True)):
        seen, numbers = [], itertools.count()

        def serve(wire, close=close, seen=seen, numbers=numbers):
            number = next(numbers)
            while True:
                if not wire.buffer and wire.at_eof():
                    return
                request = wire.head()
                seen.append((number, request.target))
                wire.send(ok(request.target.encode()))
                if close and request.target == "/first":
                    return
        origin = run.target.keep(RawOrigin(serve, address=run.target.listen_address))
        authority = run.target.authority(origin)
        # What is still owed would be a request of its own, if it met an origin that takes it for one.
        body = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
        with run.target.client(run.target.patience) as client:
            client.send("POST /first HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n" % (authority, 2 * len(body)), body[:5])
            answer = client.response()
            run.check((answer.status, answer.body) == (200, b"/first"), "%s: %r" % (label, answer))
            if rest:
                with contextlib.suppress(OSError):
                    client.send(body[5:], body, "GET /next HTTP/1.1\r\nHost: %s\r\n\r\n" % authority)
                with contextlib.suppress(OSError, EOFError):
                    following = client.response()
                    run.check((following.status, following.body) == (200, b"/next"), "%s: the next answer is %r" % (label, following))
        for number in range(5):
            with run.target.client() as client:
                answer = client.ask("GET", "/%d" % number, authority)
            run.check(answer.body == b"/%d" % number, "%s: later %r" % (label, answer))
        reused = [path for number, path in seen if path not in ("/first", "/next") and number == seen[0][0]]
        # A connection that got all of the body is whole again; one to which some is owed is not.
        run.check(all(path in ("/first", "/next", "/0", "/1", "/2", "/3", "/4") for _, path in seen), "%s: the origin saw %s" % (label, seen))
        run.check(rest and not close or not reused, "%s: the connection is used again for %s" % (label, reused))


@row(50, "no origin is left")
def all_down(run):
    ports, holders = zip(*[closed_port() for _ in range(3)])
    with contextlib.ExitStack() as stack:
        for holder in holders:
            stack.enter_context(holder)
        policy = {"retry_policy": {"retry_on": "connect-failure", "num_retries": 2}}
        content = config.bootstrap(config.listener(config.http([config.forward("origin", action=policy)])), [config.cluster("origin", *ports)])
        proxy = run.target.start(content)
        slowest, statuses = 0.0, set()
        for _ in range(100):
            began = time.monotonic()
            with Client(proxy.port()) as client:
                statuses.add(client.ask("GET", "/", "h").status)
            slowest = max(slowest, time.monotonic() - began)
        run.check(statuses == {503}, "%s" % statuses)
        run.check(slowest < 1 * SLOW, "an answer took %.2f s" % slowest)
    # One comes back: retries find it at once, whichever endpoint is picked first.
    origin = run.target.keep(HttpOrigin(ok(b"back"), port=ports[1]))
    statuses = []
    for _ in range(30):
        with Client(proxy.port()) as client:
            statuses.append(client.ask("GET", "/", "h").status)
    run.check(statuses == [200] * 30 and len(origin.requests) == 30, "after it is back: %s" % statuses)
