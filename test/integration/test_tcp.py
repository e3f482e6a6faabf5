"""Below HTTP: tcp_proxy through a parent proxy, limits, filter chains and what listener filters find out."""
import json
import socket
import ssl
import struct
import unittest

from test.support import config, names
from test.support.client import Client
from test.support.origin import closed_port
from test.support.proxy import IS_ENVOY, ProxyTest
from test.support.wait import wait_for

LISTENER = "envoy.extensions.filters.listener."
V2 = b"\r\n\r\n\0\r\nQUIT\n"
TCP_LOG = {"type": "%ACCESS_LOG_TYPE%", "flags": "%RESPONSE_FLAGS%", "details": "%RESPONSE_CODE_DETAILS%",
           "start": "%START_TIME(%s.%6f)%"}


def listener_filter(name, message, **fields):
    return config.typed("envoy.filters.listener." + name, LISTENER + "%s.v3.%s" % (name, message), **fields)


def proxy_protocol(**fields):
    return listener_filter("proxy_protocol", "ProxyProtocol", **fields)


def connection_limit(**fields):
    return config.typed("envoy.filters.network.connection_limit",
                        "envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit",
                        stat_prefix="x", **fields)


def tcp_log(path):
    return [config.file_log(path, log_format={"json_format": TCP_LOG})]


class Tunneling(ProxyTest):
    """tcp_proxy.tunneling_config: CONNECT to a parent proxy."""

    def through(self, serve, tunneling, **fields):
        self.parent = self.raw_origin(serve)
        self.start(config.bootstrap(
            config.listener(config.tcp("parent", log=self.log_path, tunneling_config=tunneling, **fields)),
            [config.cluster("parent", self.parent.port)]))
        return self.client()

    def test_credentials_and_early_bytes(self):
        heads = []

        def serve(wire):
            heads.append(wire.head())
            wire.send("HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nfirst ")
            wire.send(wire.read(4))
            wire.finish()
            wire.rest()
        client = self.through(serve, {
            "hostname": "target.t:443",
            "headers_to_add": [{"header": {"key": "Proxy-Authorization", "value": "Basic dTpw"}},
                               {"header": {"key": "x-client", "value": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"}}]})
        client.send("ping")
        if not IS_ENVOY:  # It cuts what is half closed.
            client.finish()
        self.assertEqual(b"first ping", client.rest())
        self.assertEqual(b"CONNECT target.t:443 HTTP/1.1", heads[0].start)
        self.assertEqual("target.t:443", heads[0].header("host"))
        self.assertEqual("Basic dTpw", heads[0].header("proxy-authorization"))
        self.assertEqual("127.0.0.1", heads[0].header("x-client"))

    def test_refusal_is_tried_again(self):
        def serve(wire):
            wire.head()
            wire.send("HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n" if self.parent.connections == 1
                      else "HTTP/1.1 200 OK\r\n\r\nhello")
        client = self.through(serve, {"hostname": "target.t:443"}, max_connect_attempts=2)
        self.assertEqual(b"hello", client.rest())
        self.assertEqual(2, self.parent.connections)

    def test_refusal(self):
        def serve(wire):
            wire.head()
            wire.send("HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n")
            wire.rest()
        client = self.through(serve, {"hostname": "target.t:443"})
        self.assertEqual(b"", client.rest())
        self.assertIn("UF", self.log()["flags"])
        self.proxy.wait_stat("cluster.parent.upstream_cx_active", 0)

    def test_nonsense(self):
        client = self.through(lambda wire: (wire.head(), wire.send("220 hi\r\n"), wire.rest()),
                              {"hostname": "target.t:443"})
        self.assertEqual(b"", client.rest())
        self.assertIn("UF", self.log()["flags"])


class TcpProxy(ProxyTest):
    @unittest.skipIf(IS_ENVOY, "Envoy does not look")
    def test_client_breaks_off_while_connecting(self):
        # A full backlog: connecting hangs until connect_timeout.
        with socket.socket() as busy:
            busy.bind(("127.0.0.1", 0))
            busy.listen(0)
            fillers = []
            for _ in range(4):
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex(busy.getsockname())
                fillers.append(filler)
            self.start(config.bootstrap(
                config.listener(config.tcp("origin", log=self.log_path)),
                [config.cluster("origin", busy.getsockname()[1], connect_timeout="30s")]))
            client = self.client()
            client.send("early")
            self.proxy.wait_stat("cluster.origin.upstream_cx_total", 1)
            client.reset()
            self.assertEqual("DC", self.log()["flags"])
            for filler in fillers:
                filler.close()

    def test_log_lines_of_a_connection(self):
        origin = self.raw_origin(lambda wire: wire.send(wire.read(1)))
        options = {"flush_access_log_on_connected": True, "flush_access_log_on_start": True,
                   "access_log_flush_interval": "0.05s"}
        self.start(config.bootstrap(
            config.listener(config.tcp("origin", access_log=tcp_log(self.log_path), access_log_options=options)),
            [config.cluster("origin", origin.port)]))
        client = self.client()
        self.proxy.lines(self.log_path, 3)
        client.send("x")
        self.assertEqual(b"x", client.rest())
        client.close()
        wait_for(lambda: "TcpConnectionEnd" in open(self.log_path, encoding="utf-8").read())
        kinds = [json.loads(line)["type"] for line in self.proxy.lines(self.log_path, 4)]
        self.assertEqual(["TcpConnectionStart", "TcpUpstreamConnected"], kinds[:2])
        self.assertEqual({"TcpPeriodic"}, set(kinds[2:-1]))
        self.assertEqual("TcpConnectionEnd", kinds[-1])

    def test_how_connections_end(self):
        def serve(wire):
            if wire.read(1) == b"r":
                wire.reset()
            else:
                wire.rest()
        origin = self.raw_origin(serve)
        closed, holder = closed_port()
        self.addCleanup(holder.close)
        log = [config.file_log(self.log_path, log_format={"text_format_source": {"inline_string": (
            "%UPSTREAM_CLUSTER% %DOWNSTREAM_DETECTED_CLOSE_TYPE% %UPSTREAM_DETECTED_CLOSE_TYPE% "
            "%DOWNSTREAM_LOCAL_CLOSE_REASON% %UPSTREAM_LOCAL_CLOSE_REASON% %CLUSTER_METADATA(ns:a)%\n")}})]

        def proxy(cluster, **fields):
            return config.listener(config.tcp(cluster, access_log=log, **fields), name=cluster)
        metadata = {"filter_metadata": {"ns": {"a": "x"}}}
        none = config.breakers(max_connections=0, max_pending_requests=0)
        self.start(config.bootstrap(
            [proxy("up"), proxy("idle", idle_timeout="0.1s"), proxy("old", max_downstream_connection_duration="0.1s"),
             proxy("dead"), proxy("empty"), proxy("full")],
            [config.cluster("up", origin.port, metadata=metadata), config.cluster("idle", origin.port),
             config.cluster("old", origin.port), config.cluster("dead", closed), config.cluster("empty"),
             config.cluster("full", origin.port, **none)]))
        seen = 0

        def end(listener, act):
            nonlocal seen
            with Client(self.proxy.port(listener)) as client:
                act(client)
                seen += 1
                return self.proxy.lines(self.log_path, seen)[-1].removeprefix(listener + " ")

        def reset(client):
            self.proxy.wait_stat("cluster.up.upstream_cx_active", 1)
            client.reset()
        with self.subTest("resets"):
            self.assertEqual("LocalReset RemoteReset - - x", end("up", lambda client: client.send("r")))
            self.assertEqual("RemoteReset Normal - - x", end("up", reset))
            self.assertEqual("Normal Normal - - x", end("up", lambda client: client.close()))
        failed = "Normal Normal tcp_initializion_failure:%d - -"
        for listener, line in {"idle": "Normal Normal tcp_session_idle_timeout tcp_session_idle_timeout -",
                               "old": "Normal Normal max_connection_duration_reached max_connection_duration_reached -",
                               "dead": failed % 0, "empty": failed % 1, "full": failed % 2}.items():
            with self.subTest(listener):
                self.assertEqual(line, end(listener, lambda client: client.rest()))

    def test_what_the_log_says(self):
        """Bytes on the wires; a connection has flags, and no details."""
        def serve(wire):
            if wire.read(5) == b"reset":
                wire.reset()
            else:
                wire.send("answer")
                wire.rest()
        origin = self.raw_origin(serve)
        closed, holder = closed_port()
        self.addCleanup(holder.close)
        names = {"flags": "%RESPONSE_FLAGS%", "details": "%RESPONSE_CODE_DETAILS%", "why": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
                 "id": "%STREAM_ID%",
                 "down": "%DOWNSTREAM_WIRE_BYTES_RECEIVED% %DOWNSTREAM_WIRE_BYTES_SENT%",
                 "up": "%UPSTREAM_WIRE_BYTES_SENT% %UPSTREAM_WIRE_BYTES_RECEIVED%"}
        log = [config.file_log(self.log_path, log_format={"json_format": names})]
        self.start(config.bootstrap(
            [config.listener(config.tcp(name, access_log=log), name=name) for name in ("up", "dead")],
            [config.cluster("up", origin.port), config.cluster("dead", closed)]), concurrency=1)

        def entry(listener, send, expect, count):
            with Client(self.proxy.port(listener)) as client:
                client.send(send)
                if expect:
                    self.assertEqual(expect, client.read(len(expect)))
                else:
                    client.rest()
            line = json.loads(self.proxy.lines(self.log_path, count)[-1])
            ids.add(line.pop("id"))
            self.assertEqual(count, len(ids - {None}))
            return line
        ids = set()
        self.assertEqual({"flags": "-", "details": None, "why": None, "down": "5 6", "up": "5 6"},
                         entry("up", "hello", b"answer", 1))
        self.assertEqual({"flags": "UR", "details": None, "why": None, "down": "5 0", "up": "5 0"},
                         entry("up", "reset", b"", 2))
        self.assertEqual({"flags": "UF,URX", "details": None, "why": "delayed_connect_error:_Connection_refused",
                          "down": "0 0", "up": "0 0"}, entry("dead", "", b"", 3))
        with Client(self.proxy.port("up")) as client:
            client.send("hello")
            self.assertEqual(b"answer", client.read(6))
            client.reset()
        line = json.loads(self.proxy.lines(self.log_path, 4)[-1])
        self.assertEqual(("-", None), (line["flags"], line["details"]))

    def test_limits_in_the_log(self):
        """The idle limit has no flag, that of the whole connection has DT, and neither has details."""
        origin = self.raw_origin(lambda wire: wire.rest())
        names = {"flags": "%RESPONSE_FLAGS%", "details": "%RESPONSE_CODE_DETAILS%", "why": "%DOWNSTREAM_LOCAL_CLOSE_REASON%"}
        log = [config.file_log(self.log_path, log_format={"json_format": names})]
        limits = {"idle": {"idle_timeout": "0.1s"}, "long": {"max_downstream_connection_duration": "0.1s"}}
        self.start(config.bootstrap(
            [config.listener(config.tcp("up", access_log=log, **limit), name=name) for name, limit in limits.items()],
            [config.cluster("up", origin.port)]), concurrency=1)
        for count, (listener, flags, why) in enumerate((("idle", "-", "tcp_session_idle_timeout"),
                                                        ("long", "DT", "max_connection_duration_reached")), 1):
            with Client(self.proxy.port(listener)) as client:
                self.assertEqual(b"", client.rest())
            self.assertEqual({"flags": flags, "details": None, "why": why},
                             json.loads(self.proxy.lines(self.log_path, count)[-1]))

    @unittest.skipIf(IS_ENVOY, "Envoy ends at once")
    def test_drain_ends_it(self):
        origin = self.raw_origin(lambda wire: (wire.send("hi"), wire.rest()))
        self.start(config.bootstrap(config.listener(config.tcp("origin", log=self.log_path)),
                                    [config.cluster("origin", origin.port)]),
                   arguments=["--drain-time-s", "1"])
        client = self.client()
        self.assertEqual(b"hi", client.read(2))
        self.assertEqual(200, self.proxy.admin("/drain_listeners?graceful", "POST").status)
        self.assertEqual(b"", client.rest())
        self.assertEqual("downstream_local_disconnect(drained)", self.log()["details"])

    def test_connection_limit(self):
        origin = self.raw_origin(lambda wire: (wire.send("hi"), wire.rest()))
        content = config.listener(config.tcp("origin"))
        content["filter_chains"][0]["filters"].insert(0, connection_limit(max_connections=1))
        self.start(config.bootstrap(content, [config.cluster("origin", origin.port)]))
        first = self.client()
        self.assertEqual(b"hi", first.read(2))
        self.assertEqual(b"", self.client().rest())
        self.proxy.wait_stat("connection_limit.x.limited_connections", 1)
        self.assertIn('envoy_connection_limit_limited_connections{envoy_connection_limit_prefix="x"} 1', self.proxy.admin("/stats/prometheus").text)
        first.close()
        self.proxy.wait_stat("connection_limit.x.active_connections", 0)
        self.assertEqual(b"hi", self.client().read(2))

    def test_who_is_refused_is_logged(self):
        """A filter in front of it ends the connection: the proxy counts and logs that, too."""
        log = [config.file_log(self.log_path, log_format={"json_format": {
            "reason": "%DOWNSTREAM_LOCAL_CLOSE_REASON%", "termination": "%CONNECTION_TERMINATION_DETAILS%",
            "flags": "%RESPONSE_FLAGS%", "type": "%ACCESS_LOG_TYPE%"}})]
        nobody = config.typed("envoy.filters.network.rbac", "envoy.extensions.filters.network.rbac.v3.RBAC",
                              stat_prefix="r", rules={"action": "ALLOW", "policies": {}})
        empty = config.typed("envoy.filters.network.local_ratelimit",
                             "envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit", stat_prefix="l",
                             token_bucket={"max_tokens": 1, "fill_interval": "1000s"})
        origin = self.raw_origin(lambda wire: (wire.send("hi"), wire.rest()))
        content = config.listener(config.tcp("origin", access_log=log))
        content["filter_chains"][0]["filters"][:0] = [connection_limit(max_connections=1), empty, nobody]
        self.start(config.bootstrap(content, [config.cluster("origin", origin.port)]), concurrency=1)
        for count, (reason, termination, flags) in enumerate((
                ("rbac_deny_close", "rbac_access_denied_matched_policy[none]", "-"),
                ("local_ratelimit_close_over_limit", None, "URX")), 1):
            wire = self.client()
            wire.send("x")
            wire.at_eof()
            line = json.loads(self.proxy.lines(self.log_path, count)[-1])
            self.assertEqual((reason, termination, flags, "TcpConnectionEnd"),
                             (line["reason"], line["termination"], line["flags"], line["type"]))
        self.assertEqual(2, self.proxy.stat("tcp.tcp.downstream_cx_total"))

    def test_breaker_of_connections(self):
        """The limit is one of connections, not of those that each host may have: who is beyond it does not wait."""
        origin = self.raw_origin(lambda wire: (wire.send("hi"), wire.rest()))
        other = self.raw_origin(lambda wire: (wire.send("hi"), wire.rest()))
        self.start(config.bootstrap(
            config.listener(config.tcp("origin", access_log=tcp_log(self.log_path))),
            [config.cluster("origin", origin.port, other.port, **config.breakers(max_connections=1))]), concurrency=1)
        first = self.client()
        self.assertEqual(b"hi", first.read(2))
        self.assertEqual(b"", self.client().rest())
        line = json.loads(self.proxy.lines(self.log_path, 1)[-1])
        self.assertEqual(("UO", None), (line["flags"], line["details"]))
        self.proxy.wait_stat("cluster.origin.upstream_cx_overflow", 1)
        first.close()
        self.proxy.wait_stat("cluster.origin.upstream_cx_active", 0)
        self.assertEqual(b"hi", self.client().read(2))

    def test_local_rate_limit(self):
        origin = self.raw_origin(lambda wire: (wire.send("hi"), wire.rest()))
        limit = config.typed("envoy.filters.network.local_ratelimit",
                             "envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit",
                             stat_prefix="x", share_key="k",
                             token_bucket={"max_tokens": 2, "tokens_per_fill": 1, "fill_interval": "3600s"})
        listeners = []
        for name in ("main", "other"):
            content = config.listener(config.tcp("origin", prefix=name), name=name)
            content["filter_chains"][0]["filters"].insert(0, limit)
            listeners.append(content)
        self.start(config.bootstrap(listeners, [config.cluster("origin", origin.port)]))
        # The two listeners share the tokens.
        for name, answer in (("main", b"hi"), ("other", b"hi"), ("main", b""), ("other", b"")):
            with Client(self.proxy.port(name)) as client:
                self.assertEqual(answer, client.read(2) if answer else client.rest(), name)
        self.proxy.wait_stat("local_rate_limit.x.rate_limited", 2)
        self.assertIn('envoy_local_rate_limit_rate_limited{envoy_local_network_ratelimit_prefix="x"} 2',
                      self.proxy.admin("/stats/prometheus").text)


class ProxyHeaderForTheUpstream(ProxyTest):
    """proxy_protocol_config of a CONNECT."""

    def test_connect(self):
        lines = []
        origin = self.raw_origin(lambda wire: (lines.append(wire.line()), wire.send(wire.read(2))))
        upgrade = {"upgrade_type": "CONNECT", "connect_config": {"proxy_protocol_config": {"version": "V1"}}}
        self.start(config.bootstrap(
            config.listener(config.http([{"match": {"connect_matcher": {}},
                                          "route": {"cluster": "origin", "upgrade_configs": [upgrade]}}])),
            [config.cluster("origin", origin.port)]))
        client = self.client()
        port = client.socket.getsockname()[1]
        self.assertEqual(200, client.ask("CONNECT", "h:443").status)
        client.send("hi")
        self.assertEqual(b"hi", client.rest())
        self.assertEqual(b"PROXY TCP4 127.0.0.1 127.0.0.1 %d %d" % (port, self.proxy.port()), lines[0])


class FilterChains(ProxyTest):
    """Which chain serves a connection."""

    def chain(self, name, **match):
        return {"filters": [config.http([config.direct(200, name)], prefix=name)], "name": name,
                **({"filter_chain_match": match} if match else {})}

    def answer(self, host="127.0.0.1", prefix=b""):
        with Client(self.proxy.port(), host=host) as client:
            client.send(prefix)
            return client.ask("GET", "/", "h").text()

    def listener(self, chains, **fields):
        return {"name": "main", "address": config.socket_address(), "filter_chains": chains, **fields}

    def test_by_source(self):
        self.start(config.bootstrap(self.listener(
            [self.chain("far", source_prefix_ranges=[config.cidr("10.0.0.0", 8)]),
             self.chain("near", source_prefix_ranges=[config.cidr("127.0.0.0", 8)])])))
        self.assertEqual("near", self.answer())

    def test_none_and_default(self):
        far = self.chain("far", source_prefix_ranges=[config.cidr("10.0.0.0", 8)])
        self.start(config.bootstrap(self.listener([far], stat_prefix="m")))
        with self.client() as client:
            self.assertEqual(b"", client.rest())
        self.proxy.wait_stat("listener.m.no_filter_chain_match", 1)
        self.proxy = None
        self.start(config.bootstrap(self.listener([far], default_filter_chain=self.chain("default"))))
        self.assertEqual("default", self.answer())

    @unittest.skipIf(IS_ENVOY, "says no path")
    def test_equal_matches_are_refused(self):
        with self.assertRaises(AssertionError) as caught:
            self.start(config.bootstrap(self.listener([self.chain("a", destination_port=80),
                                                       self.chain("b", destination_port=80)])))
        self.assertIn("filter_chains[1].filter_chain_match: has the same matching rules as "
                      "static_resources.listeners[0].filter_chains[0]", str(caught.exception))

    def test_by_what_a_proxy_header_says(self):
        chains = [self.chain("ten", source_prefix_ranges=[config.cidr("10.0.0.0", 8)],
                             direct_source_prefix_ranges=[config.cidr("127.0.0.0", 8)]),
                  self.chain("peer", direct_source_prefix_ranges=[config.cidr("127.0.0.0", 8)],
                             source_prefix_ranges=[config.cidr("11.0.0.0", 8)]),
                  self.chain("port", destination_port=4443)]
        self.start(config.bootstrap(self.listener(chains, listener_filters=[proxy_protocol()])))
        self.assertEqual("ten", self.answer(prefix=b"PROXY TCP4 10.1.2.3 10.0.0.1 1 80\r\n"))
        self.assertEqual("port", self.answer(prefix=b"PROXY TCP4 10.1.2.3 10.0.0.1 1 4443\r\n"))
        self.assertEqual("peer", self.answer(prefix=b"PROXY TCP4 11.1.2.3 10.0.0.1 1 80\r\n"))


class ProxyProtocol(ProxyTest):
    """The listener filter of that name."""

    def listen(self, listener_fields=None, **fields):
        origin = self.origin()
        content = config.listener(config.http([config.forward("origin")], log=self.log_path,
                                              use_remote_address=True),
                                  stat_prefix="m", **(listener_fields or {}))
        content["listener_filters"] = [proxy_protocol(**fields)]
        self.start(config.bootstrap(content, [config.cluster("origin", origin.port)]))
        return origin

    def test_regression_who_is_refused_at_once_is_logged_by_the_address_of_the_header(self):
        log = config.file_log(self.log_path, log_format={"json_format": {
            "start": "%START_TIME(%s.%6f)%", "remote": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"}})
        content = config.listener(config.http([config.direct(200)], log=[log]))
        content["listener_filters"] = [proxy_protocol()]
        self.start(config.bootstrap(content))
        header = b"PROXY TCP4 10.1.2.3 10.0.0.1 7 80\r\n"
        for head in (b"OPTIONS * HTTP/1.1\r\nhost: h\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n"):
            with self.client() as connection:
                connection.send(header + head)
                self.assertIn(connection.response().status, (400, 404))
        with self.client() as connection:
            connection.send(header + b"GET / HT")
            self.proxy.wait_stat("http.ingress.downstream_cx_active", 1)
        self.assertEqual(["10.1.2.3"] * 3, [entry["remote"] for entry in self.logs(3)])

    def test_versions(self):
        origin = self.listen()
        v2 = V2 + b"\x21\x11" + struct.pack("!H4s4sHH", 12, b"\x0a\x01\x02\x03", b"\x0a\x00\x00\x01", 7, 80)
        for header, client in ((b"PROXY TCP4 10.1.2.3 10.0.0.1 7 80\r\n", "10.1.2.3"),
                               (b"PROXY TCP6 2001:db8::7 ::1 7 80\r\n", "2001:db8::7"), (v2, "10.1.2.3")):
            with self.subTest(header=header), self.client() as connection:
                # With the request in one packet, and byte by byte.
                connection.send(header + b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                self.assertEqual(200, connection.response().status)
                self.assertEqual(client, origin.requests[-1].header("x-forwarded-for"))
            with self.client() as connection:
                for byte in header:
                    connection.send(bytes([byte]))
                self.assertEqual(200, connection.ask("GET", "/", "h").status)
                self.assertEqual(client, origin.requests[-1].header("x-forwarded-for"))
        stats = self.proxy.stats("proxy_proto")
        self.assertEqual((4, 2), (stats["proxy_proto.versions.v1.found"], stats["proxy_proto.versions.v2.found"]))

    def test_local(self):
        origin = self.listen()
        with self.client() as connection:
            connection.send(V2 + b"\x20\0\0\0")
            self.assertEqual(200, connection.ask("GET", "/", "h").status)
        self.assertNotEqual("10.1.2.3", origin.requests[-1].header("x-forwarded-for"))

    def test_refused(self):
        self.listen(disallowed_versions=["V2"])
        for prefix in (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", b"PROXY TCP4 x y 1 2\r\n", V2 + b"\x20\0\0\0"):
            with self.subTest(prefix=prefix), self.client() as connection:
                connection.send(prefix)
                self.assertEqual(b"", connection.rest())
        stats = self.proxy.stats("proxy_proto")
        self.assertEqual((1, 1, 1), (stats["proxy_proto.not_found_disallowed"],
                                     stats["proxy_proto.versions.v1.error"],
                                     stats["proxy_proto.versions.v2.disallowed"]))
        self.assertEqual((1, 2), (stats["proxy_proto.versions.v2.found"], stats["downstream_cx_proxy_proto_error"]))

    def test_disallowed_and_optional(self):
        header = b"PROXY TCP4 10.1.2.3 10.0.0.1 7 80\r\n"
        cases = [(header + b"hi", header + b"hi"), (V2 + b"\x20\0\0\0hi", b"hi")]
        lengths = [len(expected) for _, expected in cases]
        origin = self.raw_origin(lambda wire: wire.send(wire.read(lengths.pop(0))))
        filters = [proxy_protocol(disallowed_versions=["V1"], allow_requests_without_proxy_protocol=True)]
        self.start(config.bootstrap(config.listener(config.tcp("origin"), listener_filters=filters),
                                    [config.cluster("origin", origin.port)]))
        for sent, expected in cases:
            with self.client() as connection:
                connection.send(sent)
                self.assertEqual(expected, connection.rest())
        stats = self.proxy.stats("proxy_proto")
        self.assertEqual((1, 1), (stats["proxy_proto.not_found_allowed"], stats["proxy_proto.versions.v2.found"]))

    def test_optional(self):
        self.listen(allow_requests_without_proxy_protocol=True, stat_prefix="p")
        self.assertEqual(200, self.ask("GET", "/", "h").status)
        self.proxy.wait_stat("proxy_proto.p.not_found_allowed", 1)

    def test_timeout(self):
        self.listen({"listener_filters_timeout": "0.1s"})
        with self.client() as connection:
            connection.send(b"PROXY TCP4")
            self.assertEqual(b"", connection.rest())
        self.proxy.wait_stat("listener.m.downstream_pre_cx_timeout", 1)

    @unittest.skipIf(IS_ENVOY, "not asked")
    def test_going_on_after_the_timeout(self):
        self.listen({"listener_filters_timeout": "0.1s", "continue_on_listener_filters_timeout": True})
        with self.client() as connection:
            connection.send(b"P")
            self.proxy.wait_stat("listener.m.downstream_pre_cx_timeout", 1)
            connection.send(b"OST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
            self.assertEqual(200, connection.response().status)


def client_hello(name, protocols=()):
    """What OpenSSL would send first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


class TlsInspector(ProxyTest):
    """Who the TLS client wants to talk to, without ending its TLS."""

    INSPECTOR = listener_filter("tls_inspector", "TlsInspector")

    def origin_that_reads(self, size):
        return self.raw_origin(lambda wire: (self.seen.append(wire.read(size)), wire.send("answer"), wire.rest()))

    def setUp(self):
        super().setUp()
        self.seen = []

    def test_chains_by_name(self):
        def chain(name, **match):
            return {"filters": [config.tcp(name, prefix=name)], "filter_chain_match": match}
        hello = client_hello("a.example")
        one, two = self.origin_that_reads(len(hello)), self.origin_that_reads(9)
        self.start(config.bootstrap(
            {"name": "main", "address": config.socket_address(), "listener_filters": [self.INSPECTOR],
             "filter_chains": [chain("tls", server_names=["*.example"], transport_protocol="tls"),
                               chain("raw", transport_protocol="raw_buffer")]},
            [config.cluster("tls", one.port), config.cluster("raw", two.port)]))
        with self.client() as client:
            for i in range(0, len(hello), 7):
                client.send(hello[i:i + 7])
            self.assertEqual(b"answer", client.read(6))
        self.assertEqual([hello], self.seen)
        with self.client() as client:
            client.send("no secret")
            self.assertEqual(b"answer", client.read(6))
        with self.client() as client:
            client.send(client_hello("a.other"))
            self.assertEqual(b"", client.rest())
        stats = self.proxy.stats("tls_inspector")
        self.assertEqual((2, 1), (stats["tls_inspector.sni_found"], stats["tls_inspector.tls_not_found"]))

    @unittest.skipIf(IS_ENVOY, "Envoy wants a filter more")
    def test_egress_by_name(self):
        server = self.names({"a.example": names.address("127.0.0.1")})
        settings = config.dns_cache(server)
        self.start(config.bootstrap(
            config.listener(config.tcp("dfp", log=self.log_path), listener_filters=[self.INSPECTOR]),
            [config.dfp_cluster(settings)]))
        with self.client() as client:
            client.send(client_hello("A.example"))
            self.assertEqual(b"", client.rest())
        entry = self.log()
        # Nobody listens on port 443 here; that it was dialled is what counts.
        self.assertEqual("127.0.0.1:443", entry["upstream"])
        with self.client() as client:
            client.send("no tls")
            self.assertEqual(b"", client.rest())
        self.assertEqual(1, server.count("a.example"))


class SocketOptions(ProxyTest):
    def test_options_of_listening_sockets(self):
        content = config.listener(config.http([config.direct(200, "x")]), freebind=True,
                                  tcp_fast_open_queue_length=8,
                                  tcp_keepalive={"keepalive_time": 77}, tcp_backlog_size=10,
                                  socket_options=[{"level": socket.IPPROTO_TCP, "name": socket.TCP_DEFER_ACCEPT,
                                                   "int_value": 1}])
        self.start(config.bootstrap(content))
        self.assertEqual(200, self.ask("GET", "/", "h").status)

    def test_an_option_that_the_system_refuses(self):
        content = config.listener(config.http([config.direct(200, "x")]),
                                  socket_options=[{"level": 6, "name": 9999, "int_value": 1}])
        with self.assertRaises(AssertionError) as caught:
            self.start(config.bootstrap(content))
        if not IS_ENVOY:
            self.assertIn("cannot set the socket options of", str(caught.exception))


if __name__ == "__main__":
    unittest.main()
