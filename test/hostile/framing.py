"""Rows 1 to 18: heads, bodies and targets that are understood differently by different parsers."""
import re
from urllib.parse import unquote_to_bytes

from test.hostile.rows import LAST, NotApplicable, dropped, echo, passed, refused, row
from test.support import config
from test.support.client import Client
from test.support.origin import HttpOrigin, ok

HOST = b"Host: {A}\r\n"
POST = b"POST /first HTTP/1.1\r\n" + HOST


def get(fields=b"", target=b"/first", host=HOST, version=b"HTTP/1.1", method=b"GET"):
    return method + b" " + target + b" " + version + b"\r\n" + host + fields + b"\r\n"


@row(1, "Content-Length and Transfer-Encoding")
def both_lengths(run):
    fields = [b"Content-Length: 6\r\n", b"Transfer-Encoding: chunked\r\n"]
    for label, order in (("CL first", fields), ("TE first", fields[::-1]), ("lower case", [field.lower() for field in fields]),
                         ("upper case", [field.upper() for field in fields])):
        run.case(label, POST + b"".join(order) + b"\r\n0\r\n\r\nX" + LAST, refused())


@row(2, "doubtful Content-Length")
def content_length(run):
    body = b"\r\nhello"
    for value in (b"+5", b"-1", b"0x5", b"", b"5 5", b"5,6", b"5;", b"05 0", b"1e1", b"99999999999999999999", b"\x0b5", b"5\x00"):
        run.case("Content-Length: %r" % value, POST + b"Content-Length: " + value + b"\r\n" + body + LAST, refused(400, 413))
    run.case("two that differ", POST + b"Content-Length: 5\r\nContent-Length: 6\r\n" + body + LAST, refused())
    one = passed("/first", "/last", test=lambda request: request.header("content-length") == "5" and request.body == b"hello")
    run.case("two that agree", POST + b"Content-Length: 5\r\nContent-Length: 5\r\n" + body + LAST, refused(), one)
    run.case("5, 5", POST + b"Content-Length: 5, 5\r\n" + body + LAST, refused(), one)
    run.case("blank at the end", POST + b"Content-Length: 5 \r\n" + body + LAST, refused(), one)


@row(3, "disguised Transfer-Encoding")
def transfer_encoding(run):
    body = b"\r\n0\r\n\r\n"
    for value in (b"chunked, chunked", b"chunked;q=1", b"\x0bchunked", b"xchunked", b"identity", b"gzip", b"chunked, gzip", b"gzip, chunked",
                  b"chun\x00ked", b'"chunked"', b"chunked\x0c", b"chunked,", b"", b"x\r\n chunked", b"chunked\r\n x"):
        run.case("Transfer-Encoding: %r" % value, POST + b"Transfer-Encoding: " + value + b"\r\n" + body + LAST, refused(400, 501))
    plain = passed("/first", "/last")
    run.case("blank and tab at the end", POST + b"Transfer-Encoding: chunked \t\r\n" + body + LAST, refused(400, 501), plain)
    run.case("twice", POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n" + body + LAST, refused(400, 501))
    run.case("Transfer_Encoding", POST + b"Transfer_Encoding: chunked\r\nContent-Length: 5\r\n" + body + LAST, refused(), plain)
    run.case("HTTP/1.0", POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n" + body + LAST, refused(400, 426, 501))


@row(4, "chunk grammar")
def chunks(run):
    head = POST + b"Transfer-Encoding: chunked\r\n\r\n"
    cases = {
        "0x5": b"0x5\r\nhello\r\n0\r\n\r\n",
        "5;": b"5;\r\nhello\r\n0\r\n\r\n",
        "line end in an extension": b'5;a="\r\n"\r\nhello\r\n0\r\n\r\n',
        "bare LF after the size": b"5\nhello\r\n0\r\n\r\n",
        "bare LF after the data": b"5\r\nhello\n0\r\n\r\n",
        "bare CR": b"5\rhello\r\n0\r\n\r\n",
        "CR in an extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
        "17 digits": b"00000000000000005\r\nhello\r\n0\r\n\r\n",
        "overflow": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
        "negative": b"-5\r\nhello\r\n0\r\n\r\n",
        "plus": b"+5\r\nhello\r\n0\r\n\r\n",
        "blank before": b" 5\r\nhello\r\n0\r\n\r\n",
        "no size": b"\r\nhello\r\n0\r\n\r\n",
        "data too long": b"5\r\nhello!\r\n0\r\n\r\n",
        "data too short": b"5\r\nhell\r\n0\r\n\r\n",
        "other bytes for CRLF": b"5\r\nhelloXX0\r\n\r\n",
        "a trailer that is none": b"5\r\nhello\r\n0\r\nX Y: 1\r\n\r\n",
    }
    for label, body in cases.items():
        # 00000000000000005 is 5 in 17 digits: a parser may take it for what it is, if nobody can take it for anything else.
        judges = [refused(400), dropped] + ([passed("/first", "/last")] if label in ("17 digits", "5;") else [])
        run.case(label, head + body + LAST, *judges)
    run.case("no final CRLF", head + b"5\r\nhello\r\n0\r\n", refused(400), dropped, finish=True)
    run.case("cut in the data", head + b"5\r\nhel", refused(400), dropped, finish=True)


@row(5, "trailers that would be headers")
def trailers(run):
    names = ("content-length", "transfer-encoding", "host", "authorization", "x-forwarded-for", "connection", "proxy-authorization", "cookie")
    fields = b"".join(b"%s: 3\r\n" % name.encode() for name in names)

    def clean(request):
        return not any(name.lower() in names for name, _ in request.trailers)
    run.case("all of them", POST + b"Trailer: Host\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n" + fields + b"X-Ok: 1\r\n\r\n" + LAST,
             passed("/first", "/last", test=clean), refused(), dropped)


def reply(text):
    """An origin's script: reads a request, answers with these bytes, closes."""
    def serve(wire):
        wire.message()
        wire.send(text)
        wire.finish()
    return serve


def failed(outcome):
    return len(outcome.statuses) == 1 and outcome.statuses[0] in (502, 503)


@row(6, "control bytes in a head")
def control_bytes(run):
    for byte in (b"\x00", b"\r", b"\x0b", b"\x1f", b"\x7f", b"\n"):
        if byte != b"\n":
            run.case("%r in a value" % byte, get(b"X-A: a" + byte + b"b\r\n") + LAST, refused())
            run.case("%r in Host" % byte, get(host=b"Host: {A}" + byte + b"b\r\n") + LAST, refused())
        run.case("%r in a name" % byte, get(b"X-" + byte + b"A: b\r\n") + LAST, refused())
        run.case("%r in the target" % byte, get(target=b"/a" + byte + b"b") + LAST, refused())
        run.case("%r in the method" % byte, get(method=b"GE" + byte + b"T") + LAST, refused())
    run.case("bare LF ends a field", get(b"X-A: a\nX-B: b\r\n") + LAST, refused())
    for byte in (b"\x00", b"\r", b"\x1f"):
        run.answered("%r in a response's value" % byte, reply(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-a: a" + byte + b"b\r\n\r\n"), failed)
        run.answered("%r in a response's name" % byte, reply(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-" + byte + b"a: b\r\n\r\n"), failed)
        run.answered("%r in a reason" % byte, reply(b"HTTP/1.1 200 O" + byte + b"K\r\ncontent-length: 0\r\n\r\n"), failed)


@row(7, "blanks and folds in a head")
def blanks(run):
    for label, fields in (("blank before the colon", b"X-A : b\r\n"), ("tab before the colon", b"X-A\t: b\r\n"), ("no name", b": b\r\n"),
                          ("no colon", b"X-A\r\n"), ("fold", b"X-A: a\r\n b\r\n"), ("fold of nothing", b"X-A: a\r\n \r\n"),
                          ("name with a blank", b"X A: b\r\n")):
        run.case(label, get(fields) + LAST, refused())
    run.case("blank before the first field", b"GET /first HTTP/1.1\r\n " + HOST + b"\r\n" + LAST, refused())
    outcome = run.answered("fold in a response", reply(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-a: a\r\n b\r\n\r\n"),
                           lambda outcome: failed(outcome) or outcome.statuses == [200])
    if outcome.statuses == [200]:
        run.check(re.fullmatch(r"a +b", outcome.answers[0].header("x-a")), "the fold is not one blank: %r" % outcome.answers[0].raw)


@row(8, "Host")
def host(run):
    for label, lines in (("missing", b""), ("empty", b"Host:\r\n"), ("two", HOST + b"Host: evil.test\r\n"), ("two that agree", HOST + HOST),
                         ("comma", b"Host: {A}, evil.test\r\n"), ("userinfo", b"Host: u@{A}\r\n"), ("bad port", b"Host: {A}x\r\n"),
                         ("no port after the colon", b"Host: localhost:\r\n"), ("path", b"Host: {A}/x\r\n"), ("blank", b"Host: {A} x\r\n"),
                         ("query", b"Host: {A}?x\r\n"), ("percent", b"Host: %31{A}\r\n")):
        def judge(outcome):
            return not outcome.targets and outcome.statuses[:1] and 400 <= outcome.statuses[0] < 600 and outcome.statuses[0] != 500
        run.case(label, get(b"Connection: close\r\n", host=lines), judge)
    for label, lines in (("another", b"Host: evil.test\r\n"), ("none", b"")):
        run.case("absolute form, Host: " + label, get(target=b"http://{A}/first", host=lines) + LAST, refused(),
                 passed("/first", "/last", test=lambda request: request.header("host", "").startswith(run.target.origin_host)))


@row(9, "targets")
def targets(run):
    for target in (b"*", b"{A}", b"http:///", b"http://", b"ftp://{A}/", b"//", b"http:/{A}/", b"http://u:p@{A}/", b"/a b", b"gopher://{A}/",
                   b"http://{A}\\@evil.test/", b"http://{A}#x", b"javascript:1", b""):
        run.case("GET %s" % target.decode(), get(b"Connection: close\r\n", target=target),
                 lambda outcome: (not outcome.targets and len(outcome.statuses) == 1 and 400 <= outcome.statuses[0] < 500) or
                 (target == b"//" and outcome.targets == ["//"]))
    for target in (b"/", b"{A}/", b"*", b"http://{A}/"):
        run.case("CONNECT %s" % target.decode(), get(b"Connection: close\r\n", target=target, method=b"CONNECT"), refused(400, 404))
    # Whatever is made of these, it goes to the origin that Host names.
    for target in (b"//evil.test/x", b"/#frag", b"/\\evil.test", b"/\xc3\xa9", b"/a?b#c", b"/" + b"%" * 3, b"/http://evil.test/"):
        run.case("GET %r" % target, get(b"Connection: close\r\n", target=target),
                 lambda outcome: outcome.statuses in ([200], [400]) and len(outcome.targets) == outcome.statuses.count(200) and
                 all("#" not in target for target in outcome.targets))
    run.case("64 KiB", get(target=b"/" + b"a" * 65536) + LAST, refused(400, 414, 431))


@row(10, "versions")
def versions(run):
    for version in (b"HTTP/2.0", b"HTTP/1.10", b"http/1.1", b"HTTP/1.2", b"HTTP/0.9", b"HTTP/1.", b"HTTP/11", b"HTTP/1.1 ", b"HTTP/ 1.1", b"XTTP/1.1"):
        run.case(version.decode(), get(version=version) + LAST, refused(400, 426, 505))
    run.case("HTTP/0.9", b"GET /first\r\n" + LAST, refused(400, 426, 505))
    run.case("preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", refused(400, 426, 505), dropped)


@row(11, "bodies where none is expected")
def unexpected_bodies(run):
    body = b"GET /smuggled HT"
    for method in (b"GET", b"DELETE", b"OPTIONS"):
        chunked = b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
        run.case(method.decode() + " chunked", get(b"Transfer-Encoding: chunked\r\n", method=method) + chunked + LAST, passed("/first", "/last"))
        run.case(method.decode() + " with a length", get(b"Content-Length: 16\r\n", method=method) + body + LAST,
                 passed("/first", "/last"))


@row(12, "100 in a row, one of them bad")
def pipeline(run):
    good = b"".join(get(target=b"/%d" % number) for number in range(49))
    rest = b"".join(get(target=b"/x%d" % number) for number in range(50))
    expected = ["/%d" % number for number in range(49)]
    outcome = run.case("the 50th is bad", good + get(b"X A: b\r\n", target=b"/bad") + rest, refused(requests=expected))
    run.check([answer.text() for answer in outcome.answers[:49]] == expected, "the answers are out of order")


@row(13, "Expect")
def expect(run):
    body = b"GET /smuggled HTTP/1.1\r\n"
    length = b"Content-Length: %d\r\n" % len(body)
    for field in (b"Expect: 100-continue\r\n", b"Expect: 100-Continue\r\n", b"Expect: 100-continue\r\nExpect: 100-continue\r\n",
                  b"Expect: x\r\n", b"Expect: 100-continue, x\r\n", b"Expect:\r\n", b"Expect: \x0b100-continue\r\n"):
        run.case("%r" % field, POST + field + length + b"\r\n" + body + LAST, passed("/first", "/last"), refused(400, 417))

    def no_thanks(request):
        return ok(b"no").replace(b"200 OK", b"401 No") if request.target == "/first" else echo(request)

    def judge(outcome):
        return "/smuggled" not in outcome.targets and outcome.statuses in ([100, 401, 200], [401, 200], [401], [100, 401])
    run.case("401 from the origin", POST + b"Expect: 100-continue\r\n" + length + b"\r\n" + body + LAST, judge, answer=no_thanks)
    # The origin answers without reading: what it is owed must not be taken for a request.
    bodies = []

    def early(wire):
        wire.head()
        wire.send(b"HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n")
        bodies.append(wire.rest())
    outcome = run.answered("403 before the body", early, lambda outcome: outcome.statuses == [403], method="POST", body=body * 1000)
    run.check(all(b"/first" not in rest for rest in bodies), "a connection with an owed body was used again: %r" % outcome)


@row(14, "Connection that names other fields")
def connection(run):
    fields = (b"Connection: close, host, x-forwarded-proto, x-request-id, authorization, x-hop, content-length, te\r\n"
              b"Authorization: secret\r\nX-Hop: 1\r\nTE: trailers\r\nKeep-Alive: 5\r\nProxy-Connection: close\r\nUpgrade: x\r\n")

    def clean(request):
        nominated = (request.header("connection") or "").lower()
        return (request.header("host") and request.header("x-forwarded-proto") and request.header("x-request-id") and
                request.header("x-hop") is None and request.header("keep-alive") is None and request.header("proxy-connection") is None and
                request.header("upgrade") is None and request.header("te", "trailers") == "trailers" and nominated in ("", "te", "close"))
    run.case("GET", get(fields), passed("/first", test=clean), refused(400))
    run.case("POST", POST + b"Content-Length: 5\r\n" + fields + b"\r\nhello", refused(400),
             passed("/first", test=lambda request: clean(request) and request.body == b"hello"))


@row(15, "fields that a proxy adds")
def forged(run):
    fields = (b"X-Forwarded-For: 6.6.6.6\r\nX-Envoy-Internal: true\r\nX-Envoy-External-Address: 6.6.6.6\r\nProxy-Authorization: Basic eDp5\r\n"
              b"Proxy-Authenticate: x\r\nX-Forwarded-Proto: https\r\n")

    def clean(request):
        # A hop may add itself; it may not let the client's word stand last.
        return (request.header("proxy-authorization") is None and request.header("x-envoy-internal") != "true,true" and
                request.header("x-forwarded-for", "").split(",")[-1].strip() != "6.6.6.6" and
                request.header("x-forwarded-proto") in ("http", "https"))
    run.case("all of them", get(fields) + LAST, passed("/first", "/last", test=clean))


@row(16, "HTTP/2 fields")
def http2_fields(_):
    raise NotApplicable("there is no HTTP/2 yet")


@row(17, "upgrades")
def upgrades(run):
    for kind in (b"h2c", b"websocket", b"foo", b"TLS/1.0", b"websocket, h2c"):
        early = get(target=b"/early")
        run.case("%s, not configured" % kind.decode(),
                 get(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: " + kind + b"\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n") + early + LAST,
                 lambda outcome: 101 not in outcome.statuses and all(request.header("upgrade") is None for request in outcome.requests) and
                 "/early" in outcome.targets + ["/early"] * (403 in outcome.statuses or 400 in outcome.statuses))
    run.answered("101 that nobody asked for", reply(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nhello"),
                 lambda outcome: failed(outcome) and b"hello" not in outcome.garbage)


def denied_path(target):
    """What the laxest origin makes of a path: decoded, without parameters, dots and doubled slashes."""
    path = unquote_to_bytes(target.split("?")[0]).replace(b"\\", b"/").split(b"\0")[0]
    parts = []
    for part in path.split(b"/"):
        part = part.split(b";")[0]
        if part == b"..":
            del parts[-1:]
        elif part not in (b"", b"."):
            parts.append(part.lower())
    return parts[:1] == [b"admin"]


@row(18, "paths that hide a denied one")
def paths(run):
    origin = run.target.keep(HttpOrigin(echo))
    settings = {"normalize_path": True, "merge_slashes": True, "path_with_escaped_slashes_action": "UNESCAPE_AND_FORWARD"}
    deny = config.typed("envoy.filters.http.rbac", "envoy.extensions.filters.http.rbac.v3.RBAC", rules={"action": "DENY", "policies": {"admin": {
        "permissions": [{"url_path": {"path": {"prefix": "/admin"}}}], "principals": [{"any": True}]}}})
    by_route = config.http([config.direct(403, "no", prefix="/admin"), config.forward("origin")], **settings)
    by_filter = config.http([config.forward("origin")], filters=[deny], prefix="rbac", **settings)
    proxy = run.target.start(config.bootstrap([config.listener(by_route), config.listener(by_filter, name="rbac")], [config.cluster("origin", origin.port)]))
    # (A parameter of an empty segment, as in /;jsessionid=1, is in honest use.)
    for target in ("/admin", "/a/../admin", "/./admin", "//admin", "/%61dmin", "/a/%2e%2e/admin", "/%2e/admin", "/a%2f..%2fadmin", "/a/..;/admin",
                   "/a/..%2fadmin", "/a\\..\\admin", "/\\admin", "/a/.%2e/admin", "/%2fadmin", "/admin%00", "/a/..;x=1/admin",
                   "/a/%2e%2e%2fadmin", "/%5cadmin", "/admin;x", "/a/..%5cadmin", "/..//admin", "/a/%252e%252e/admin", "/%00/../admin",
                   "/%%36%31dmin", "/a/%2%65%2%65/admin", "/%/../admin"):
        statuses = set()
        for name in ("main", "rbac"):
            with Client(proxy.port(name)) as client:
                statuses.add(client.ask("GET", target, "h").status)
        reached = [request.target for request in origin.requests if denied_path(request.target)]
        origin.requests.clear()
        run.check(not reached and statuses <= {200, 400, 403, 404}, "%s: answered %s, the origin got %r" % (target, statuses, reached))
