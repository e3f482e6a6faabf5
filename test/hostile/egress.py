"""Rows 31 to 40: what the proxy can be talked into dialling, and tunnels."""
import base64
import concurrent.futures
import contextlib
import os
import resource
import selectors
import socket
import threading
import time

from test.hostile.rows import NotApplicable, row
from test.support import config, names
from test.support.client import Client
from test.support.origin import HttpOrigin, RawOrigin, ok, on_one_port
from test.support.wait import wait_for

REFUSALS = (400, 403, 404, 502, 503)


class Guarded:
    """A proxy with the default policy, and canaries on loopback that must stay untouched."""

    def __init__(self, run, zone=None, guard=None, open_loopback=False, **keywords):
        self.run = run
        target = run.target
        self.canary = target.keep(HttpOrigin(ok(b"caught")))
        self.port = self.canary.port
        if target.address is None:
            self.server = target.names(zone or {})
            content = config.forward_proxy(self.server, use_remote_address=True, **keywords)
            if guard is not None:
                content["bootstrap_extensions"] = [config.egress_guard(**guard)]
            self.proxy = target.start(content, open_loopback=open_loopback)
        elif zone or guard or open_loopback or keywords:
            raise NotApplicable("needs a configuration of its own")

    def client(self, timeout=8.0):
        if self.run.target.address is not None:
            return self.run.target.client(timeout)
        return Client(self.proxy.port(), timeout)

    def ask(self, method, target, host):
        with self.client() as client:
            try:
                return client.ask(method, target, host).status
            except (EOFError, OSError):
                return 0

    def ways(self, authority):
        """Every way of asking for `authority`: the statuses."""
        return [self.ask("GET", "/", authority), self.ask("GET", "http://%s/" % authority, authority),
                self.ask("GET", "http://%s/" % authority, "one.one.one.one"), self.ask("CONNECT", authority, authority)]

    def denied(self, authority, statuses=REFUSALS):
        got = self.ways(authority)
        untouched = self.canary.connections == 0
        self.run.check(untouched and all(status in statuses for status in got),
                       "%s: answered %s%s" % (authority, got, "" if untouched else ", and DIALLED"))
        self.canary.connections = 0


@row(31, "spellings of IPv4 loopback")
def ipv4_spellings(run):
    guarded = Guarded(run)
    for host in ("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0x7f.1", "127.0.0.1.", "①②⑦.0.0.1", "%31%32%37.0.0.1",
                 "0", "0.0.0.0", "localhost", "localhost.", "LOCALHOST", "xn--lcalhost-x0a", "127.0.0.2", "127.255.255.254", "017700000001",
                 "127.0.0.1%00", "127。0。0。1", "00127.0.0.1", "0x7F.0x0.0x0.0x1", "1.0.0.127.in-addr.arpa", "localhost.localdomain"):
        guarded.denied("%s:%d" % (host, guarded.port))


@row(32, "spellings of IPv6")
def ipv6_spellings(run):
    guarded = Guarded(run)
    for host in ("::1", "::", "::ffff:127.0.0.1", "::ffff:7f00:1", "::127.0.0.1", "::1%25lo", "::1%lo", "64:ff9b::7f00:1", "64:ff9b:1::7f00:1",
                 "2002:7f00:1::", "2001:0:7f00:1::", "2001:0:101:101:0:0:80ff:fffe", "2606::5efe:7f00:1", "fec0::1", "fd00:ec2::254", "fe80::1",
                 "fe80::1%25eth0", "ff02::1", "2001:db8::1", "::ffff:0:127.0.0.1", "0:0:0:0:0:0:0:1", "0000::0001", "fd00::1", "::ffff:0.0.0.0"):
        guarded.denied("[%s]:%d" % (host, guarded.port))
    guarded.denied("::1:%d" % guarded.port)


@row(33, "metadata services")
def metadata(run):
    guarded = Guarded(run)
    hosts = ["169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "192.0.0.192", "168.63.129.16", "[fd00:ec2::254]",
             "metadata.google.internal", "metadata.google.internal.", "METADATA.GOOGLE.INTERNAL", "metadata.goog", "instance-data",
             "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]"]
    for host in hosts:
        guarded.denied(host, (400, 403))
        guarded.denied(host + ":80", (400, 403))
    if run.target.address is None:
        stats = guarded.proxy.stats("egress_guard")
        run.check(stats["egress_guard.denied.metadata"] + stats["egress_guard.denied.metadata_host"] == stats["egress_guard.denied"] > 0,
                  "the reasons are not counted: %r" % stats)


@row(34, "rebinding and mixed answers")
def rebinding(run):
    # 127.0.0.2 plays the address of the internet, 127.0.0.1 and ::1 the inner ones.
    good, *inner = [run.target.keep(origin) for origin in on_one_port(
        lambda port: HttpOrigin(ok(b"good"), address="127.0.0.2", port=port),
        lambda port: RawOrigin(lambda wire: None, address="127.0.0.1", port=port),
        lambda port: RawOrigin(lambda wire: None, address="::1", port=port))]
    guarded = Guarded(run, {
        "rebind.t": [{"A": ["127.0.0.2"], "ttl": 0}, {"A": ["127.0.0.1"], "ttl": 0}],
        "mixed.t": names.address("127.0.0.1", "127.0.0.2", "127.0.0.1"),
        "six.t": names.address("127.0.0.2", "::1"),
        "dead.t": names.address("127.0.0.3", "127.0.0.1", "::1"),
        "inner.t": names.address("127.0.0.1", "::1"),
    }, guard={"allow_ranges": [config.cidr("127.0.0.2", 31)]},
        cache={"dns_lookup_family": "ALL", "dns_min_refresh_rate": "1s", "dns_refresh_rate": "1s"})

    def untouched(what):
        run.check(all(origin.connections == 0 for origin in inner), what + ": an inner address was dialled")
    for host in ("mixed.t", "six.t"):
        statuses = [guarded.ask("GET", "/", "%s:%d" % (host, good.port)) for _ in range(4)]
        run.check(statuses == [200] * 4, "%s: %s" % (host, statuses))
        untouched(host)
    status = guarded.ask("GET", "/", "dead.t:%d" % good.port)
    run.check(status == 503, "dead.t: %d" % status)
    untouched("dead.t")
    guarded.denied("inner.t:%d" % good.port, (403,))
    untouched("inner.t")
    with guarded.client() as client:
        run.check(client.ask("GET", "/", "rebind.t:%d" % good.port).status == 200, "rebind.t: not 200 at first")
        wait_for(lambda: guarded.ask("GET", "/", "rebind.t:%d" % good.port) == 403, 8, "403 after the rebinding")
        run.check(client.ask("GET", "/", "rebind.t:%d" % good.port).status == 403, "rebind.t: a kept connection is used")
    untouched("rebind.t")


@row(35, "hostile DNS")
def dns(run):
    guarded = Guarded(run, {
        "alias.t": {"cname": "inner.t"}, "inner.t": names.address("127.0.0.1"),
        "loop.t": {"cname": "loop2.t"}, "loop2.t": {"cname": "loop.t"},
        "servfail.t": names.SERVFAIL, "silent.t": names.SILENT, "empty.t": names.NO_DATA,
        "forged.t": {"A": ["127.0.0.2"], "wrong_id": True}, "onlyforged.t": {"A": ["127.0.0.2"], "wrong_id": "only"},
        "long.t": {"A": ["127.0.0.2"] * 400, "truncate": True}, "zero.t": {"A": ["127.0.0.2"], "ttl": 0},
        # About 64 KB, the most that an answer over TCP can have.
        "huge.t": {"A": ["127.0.0.2"] * 2900, "truncate": True},
        "ok.t": names.address("127.0.0.2"),
    }, guard={"allow_ranges": [config.cidr("127.0.0.2", 32)]}, cache={"dns_query_timeout": "1s", "max_hosts": 200})
    origin = run.target.keep(HttpOrigin(ok(b"good"), address="127.0.0.2"))
    guarded.denied("alias.t:%d" % guarded.port, (403,))
    for host in ("loop.t", "servfail.t", "silent.t", "empty.t", "nx.t", "onlyforged.t", "a" * 64 + ".t", "a." * 130 + "t", "a..t", "-.t"):
        guarded.denied("%s:%d" % (host, guarded.port), (400, 503))
    for host in ("forged.t", "long.t", "zero.t", "huge.t"):
        status = guarded.ask("GET", "/", "%s:%d" % (host, origin.port))
        run.check(status == 200, "%s: %d" % (host, status))

    # A flood of names that do not answer stops nobody else, and fills no memory: there are max_hosts of them at most.
    def flood(number):
        return guarded.ask("GET", "/", "n%d.flood.t" % number)
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        statuses = pool.map(flood, range(400))
        slowest = 0.0
        for _ in range(10):
            began = time.monotonic()
            status = guarded.ask("GET", "/", "ok.t:%d" % origin.port)
            slowest = max(slowest, time.monotonic() - began)
            run.check(status == 200, "during the flood: %d" % status)
        statuses = set(statuses)
    run.check(statuses <= {503}, "the flood: %s" % statuses)
    run.check(slowest < 2, "others waited %.1f s" % slowest)
    hosts = guarded.proxy.stat("dns_cache.cache.num_hosts")
    run.check(hosts <= 200, "%d hosts in the cache" % hosts)


@row(36, "the proxy itself")
def self_connect(run):
    guarded = Guarded(run, {"me.t": names.address("127.0.0.1")}, open_loopback=True)
    ports = [guarded.proxy.port(), guarded.proxy.admin_port]
    for port in ports:
        for host in ("127.0.0.1", "me.t", "[::ffff:127.0.0.1]", "0.0.0.0", "localhost"):
            guarded.denied("%s:%d" % (host, port), (400, 403, 503))
    # By way of another proxy: once there and back, then it ends.
    def pass_on(request):
        with Client(guarded.proxy.port()) as client:
            client.send(request.raw)
            return client.response().raw
    other = run.target.keep(HttpOrigin(pass_on))
    with guarded.client() as client:
        status = client.ask("GET", "/", "127.0.0.1:%d" % other.port).status
    run.check(status == 508 and len(other.requests) == 1, "a loop by way of another proxy: %d after %d turns" % (status, len(other.requests)))
    wildcard = Guarded(run, {"me.t": names.address("127.0.0.9")}, guard={"mode": "DISABLED"})
    settings = config.dns_cache(wildcard.server)
    manager = config.http([config.connect(), config.forward()], filters=[config.dfp_filter(settings)],
                          upgrade_configs=[{"upgrade_type": "CONNECT"}])
    content = config.bootstrap(config.listener(manager, address=config.socket_address("0.0.0.0")), [config.dfp_cluster(settings)])
    content["bootstrap_extensions"] = [config.egress_guard(mode="DISABLED")]
    wildcard.proxy = run.target.start(content)
    for host in ("127.0.0.1", "127.3.2.1", "me.t", "0.0.0.0", "[::ffff:127.0.0.1]"):
        wildcard.denied("%s:%d" % (host, wildcard.proxy.port()), (403,))
    # 4 requests for each of the hosts and not one of the proxy's own.
    total = wildcard.proxy.stat("http.ingress.downstream_rq_total")
    run.check(total == 20, "%d requests of 20" % total)


@row(37, "ports")
def ports(run):
    guarded = Guarded(run)
    for port in ("0", "65536", "http", "-1", "443:80", "4 43", "0x50", "99999999999", "+80"):
        guarded.denied("1.1.1.1:" + port, (400, 403))
    for target in ("1.1.1.1", "1.1.1.1:", ":443", ""):
        status = guarded.ask("CONNECT", target, target)
        run.check(status in (400, 403, 404), "CONNECT %r: %d" % (target, status))
    if run.target.address is not None:
        return
    limited = Guarded(run, guard={"allow_ranges": config.LOOPBACK, "ports": [{"start": 443, "end": 444}, {"start": 80, "end": 81}]})
    for port in ("25", "22", "444", str(limited.port)):
        limited.denied("127.0.0.1:" + port, (403,))


@row(38, "an allowed name and a forbidden one")
def disagreement(run):
    guarded = Guarded(run, {"ok.t": names.address("127.0.0.2"), "bad.t": names.address("127.0.0.2")},
                      guard={"allow_ranges": [config.cidr("127.0.0.2", 32)], "allow_hosts": [{"exact": "ok.t"}]})
    origin = run.target.keep(HttpOrigin(ok(b"good"), address="127.0.0.2"))
    good = "ok.t:%d" % origin.port
    for host in (good, "OK.T:%d" % origin.port, "ok.t.:%d" % origin.port):
        status = guarded.ask("GET", "/", host)
        run.check(status == 200, "%s: %d" % (host, status))
    served = len(origin.requests)
    bad = "bad.t:%d" % origin.port
    asked = [("GET", "http://%s/" % bad, good), ("CONNECT", bad, good), ("GET", "/", bad), ("GET", "http://bad.t.:%d/" % origin.port, good),
             ("GET", "http://BAD.T:%d/" % origin.port, good), ("GET", "http://%s@%s/" % (good, bad), good),
             ("GET", "http://ok.t@%s/" % bad, good), ("GET", "/", "[ok.t]:%d" % origin.port), ("GET", "/", "ok.t@%s" % bad),
             ("GET", "/", "bad.t#ok.t"), ("GET", "/", "ok.t.bad.t:%d" % origin.port), ("GET", "/", "ok.t..:%d" % origin.port),
             ("GET", "http://%s\\@%s/" % (bad, good), good), ("GET", "/", "ok.t %s" % bad), ("GET", "/", "127.0.0.2:%d" % origin.port)]
    for method, target, host in asked:
        status = guarded.ask(method, target, host)
        run.check(status in (400, 403) and len(origin.requests) == served,
                  "%s %s with Host %s: %d%s" % (method, target, host, status, "" if len(origin.requests) == served else ", and DIALLED"))
    # The guard decides on the name that is dialled: the absolute one wins over a forbidden Host.
    status = guarded.ask("GET", "http://%s/" % good, bad)
    run.check(status == 200 and origin.requests[-1].header("host") == good, "the absolute form does not win: %d" % status)


def basic(text):
    return "Basic " + base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


@row(40, "credentials for the proxy")
def credentials(run):
    # {SHA} of "secret": what it protects here is a test.
    users = {"inline_string": "ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="}
    login = config.typed("sluice.filters.http.proxy_auth", "sluice.filters.http.proxy_auth.v1.ProxyAuth", users=users)
    origin = run.target.keep(HttpOrigin(ok(b"good"), address=run.target.listen_address))
    authority, log = run.target.authority(origin), run.target.path("credentials.log")
    proxy = run.target.start(config.forward_proxy(None, filters=[login], log=[config.json_log(log), config.file_log(log)]))
    good = basic("ann:secret")
    wrong = {"nothing": None, "another scheme": "Bearer abc", "no base64": "Basic %%%", "no colon": basic("annsecret"), "a wrong password": basic("ann:Secret"),
             "another name": basic("bob:secret"), "an empty name": basic(":secret"), "empty": "Basic ", "NUL": basic("ann:secret\0"), "NUL before": basic("\0ann:secret"),
             "40 KB": basic("ann:" + "x" * 30_000), "blanks": "Basic " + " " * 1000 + "x", "two": good + ", " + good, "UTF-8": basic("änn:secret"),
             "not UTF-8": basic(b"ann:\xff\xfe"), "a line end": basic("ann:secret\n")}
    with Client(proxy.port(), 10) as client:
        def ask(value, path="/x"):
            return client.ask("GET", path, authority, [("Proxy-Authorization", value)] if value is not None else [])
        for label, value in wrong.items():
            # Between two good requests on the same connection: each is checked for itself.
            run.check(ask(good, "/good").status == 200, "%s: a good request before it" % label)
            answer = ask(value)
            run.check(answer.status == 407 and answer.header("proxy-authenticate") is not None, "%s: %d" % (label, answer.status))
            run.check(b"secret" not in answer.raw and (value is None or len(value) < 8 or value.encode() not in answer.raw), "%s: the answer repeats it" % label)
    with Client(proxy.port(), 10) as client:
        status = client.ask("GET", "/x", authority, [("Proxy-Authorization", basic("ann:" + "x" * 64_000))]).status
        run.check(status in (407, 431), "64 KB: %d" % status)
    for value, expected in ((None, 407), (basic("ann:wrong"), 407), (good, 200)):
        with Client(proxy.port(), 10) as client:
            status = client.ask("CONNECT", authority, authority, [("Proxy-Authorization", value)] if value else []).status
            run.check(status == expected, "CONNECT with %r: %d" % (value, status))
    run.check({request.target for request in origin.requests} == {"/good"}, "the origin got what was not allowed")
    run.check(all(request.header("proxy-authorization") is None for request in origin.requests), "credentials reached the origin")
    lines = "\n".join(proxy.lines(log, 4 * len(wrong)))
    run.check(good.split()[1] not in lines and "secret" not in lines and "secret" not in proxy.log(), "credentials are logged: %s" % lines[:300])


def many_tunnels(run, count):
    """All open at once, and every one still gives its own bytes back; then half of them are reset, the others end in order."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # Here each tunnel takes two descriptors, in the proxy two more.
    count = min(count, (hard - 400) // 2 - 64)
    origin = run.target.keep(Echo(run.target.listen_address))
    authority = run.target.authority(origin)
    request = ("CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (authority, authority)).encode()
    with contextlib.ExitStack() as stack:
        clients, statuses = [], set()
        while len(clients) < count:
            batch = [stack.enter_context(run.target.client(60)) for _ in range(min(200, count - len(clients)))]
            for client in batch:
                client.send(request)
            statuses |= {client.head().status for client in batch}
            clients += batch
        for number, client in enumerate(clients):
            client.send(b"%08d" % number)
        wrong = [number for number, client in enumerate(clients) if client.read(8) != b"%08d" % number]
        for client in clients[::2]:
            client.reset()
        for client in clients[1::2]:
            client.finish()
        wrong += [number for number, client in enumerate(clients[1::2]) if client.rest() != b""]
        wait_for(lambda: not origin.open, 60, "the end of all tunnels at their origin")
    run.check(statuses == {200} and not wrong, "%d tunnels: %s, wrong bytes in %s" % (count, statuses, wrong[:5]))
    run.check(origin.resets == 0 or origin.resets <= (count + 1) // 2, "%d tunnels were reset at their origin" % origin.resets)


class Echo:
    """An origin for thousands of connections: one thread, which sends back what comes and ends when the other side does."""

    def __init__(self, address):
        self._listener = socket.create_server((address, 0), backlog=4096)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self.open, self.resets = set(), 0
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._end = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self):
        self._end = True
        self._thread.join()
        for connection in [self._listener, *self.open]:
            connection.close()

    def _run(self):
        while not self._end:
            for key, _ in self._selector.select(0.1):
                if key.fileobj is self._listener:
                    self._accept()
                else:
                    self._serve(key.fileobj)

    def _accept(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                connection, _ = self._listener.accept()
                connection.setblocking(False)
                self.open.add(connection)
                self._selector.register(connection, selectors.EVENT_READ)

    def _serve(self, connection):
        try:
            data = connection.recv(4096)
            if data:
                return connection.sendall(data)
        except ConnectionResetError:
            self.resets += 1
        self._selector.unregister(connection)
        self.open.discard(connection)
        return connection.close()


@row(39, "tunnels")
def tunnels(run):
    target = run.target
    target.check()
    received = []

    def echo_all(wire):
        data = wire.rest()
        received.append(data)
        wire.send(data)
    origin = target.keep(RawOrigin(echo_all, address=target.listen_address))
    authority = target.authority(origin)
    with target.client() as client:
        client.send("CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\nearly" % (authority, authority))
        status = client.head().status
        client.send(b"later")
        client.finish()
        got = client.rest()
        run.check((status, got, received) == (200, b"earlylater", [b"earlylater"]), "early data: %r %r %r" % (status, got, received))
    for fields in ("Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"):
        received.clear()
        with target.client() as client:
            client.send("CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n0\r\n\r\n" % (authority, authority, fields))
            status = client.head().status
            client.finish()
            client.rest()
        # RFC 9110 9.3.6: no content; what follows belongs to the tunnel, if there is one.
        run.check(status >= 400 and not received or (status == 200 and received == [b"0\r\n\r\n"]),
                  "%r with CONNECT: %d, tunnelled %r" % (fields, status, received))

    def speak_first(wire):
        wire.send(b"bye")
        wire.finish()
        received.append(wire.rest())
    received.clear()
    origin = target.keep(RawOrigin(speak_first, address=target.listen_address))
    with target.client() as client:
        client.request("CONNECT", target.authority(origin), target.authority(origin))
        client.head()
        got = client.rest()
        client.send(b"after")
        client.finish()
        wait_for(lambda: received, 5, "the origin's end")
        run.check((got, received) == (b"bye", [b"after"]), "half-close by the origin: %r %r" % (got, received))
    many_tunnels(run, 300 if target.address else 10_000 if os.environ.get("SLUICE_FULL") else 1_000)
    ends = []

    def wait_for_end(wire):
        wire.send(b"x")
        ends.append(wire.rest())
    origin = target.keep(RawOrigin(wait_for_end, address=target.listen_address))
    with target.client() as client:
        client.request("CONNECT", target.authority(origin), target.authority(origin))
        client.head()
        client.read(1)
        client.reset()
    wait_for(lambda: ends, 5, "the end of a tunnel that the client reset")
    run.check(ends == [b""], "a reset: %r" % ends)
    target.check()
