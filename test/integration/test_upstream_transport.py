"""transport_socket of a cluster: what stands at the beginning of its connections."""
import struct
import unittest

from test.support import config
from test.support.client import Client
from test.support.origin import ok
from test.support.proxy import IS_ENVOY, ProxyTest
from test.support.wait import wait_for

V2 = b"\r\n\r\n\0\r\nQUIT\n"
SOCKETS = "envoy.extensions.transport_sockets."
RAW = config.typed("envoy.transport_sockets.raw_buffer", SOCKETS + "raw_buffer.v3.RawBuffer")


def proxy_header(version, inner=None):
    return config.typed("envoy.transport_sockets.upstream_proxy_protocol",
                        SOCKETS + "proxy_protocol.v3.ProxyProtocolUpstreamTransport",
                        config={"version": version}, transport_socket=inner or RAW)


class ProxyHeader(ProxyTest):
    """envoy.transport_sockets.upstream_proxy_protocol."""

    def serve(self, wire):
        """Notes the line before the first request, then answers requests."""
        self.lines.append(wire.line())
        while wire.buffer or not wire.at_eof():
            wire.message()
            wire.send(ok())

    def setUp(self):
        super().setUp()
        self.lines = []

    def begin(self, version="V1", manager=None, listener_fields=None, concurrency=1, **fields):
        origin = self.raw_origin(self.serve)
        self.start(config.bootstrap(
            config.listener(config.http([config.forward("origin")], **(manager or {})), **(listener_fields or {})),
            [config.cluster("origin", origin.port, transport_socket=proxy_header(version), **fields)]),
            concurrency=concurrency)
        return origin

    def line_of(self, client):
        return b"PROXY TCP4 127.0.0.1 127.0.0.1 %d %d" % (client.socket.getsockname()[1], self.proxy.port())

    def test_tcp(self):
        origin = self.raw_origin(lambda wire: (self.lines.append(wire.line()), wire.send(wire.read(2))))
        self.start(config.bootstrap(config.listener(config.tcp("origin")), [
            config.cluster("origin", origin.port, transport_socket=proxy_header("V1"))]))
        client = self.client()
        client.send("hi")
        self.assertEqual(b"hi", client.rest())
        self.assertEqual([self.line_of(client)], self.lines)

    def test_version_2(self):
        heads = []

        def serve(wire):
            heads.append(wire.read(28))
            wire.message()
            wire.send(ok())
        origin = self.raw_origin(serve)
        self.start(config.bootstrap(config.listener(config.http([config.forward("origin")])), [
            config.cluster("origin", origin.port, transport_socket=proxy_header("V2"))]))
        client = self.client()
        self.assertEqual(200, client.ask("GET", "/", "h").status)
        loopback = b"\x7f\0\0\x01"
        self.assertEqual(V2 + b"\x21\x11" + struct.pack("!H4s4sHH", 12, loopback, loopback,
                                                        client.socket.getsockname()[1], self.proxy.port()), heads[0])

    def test_a_connection_is_its_clients_own(self):
        origin = self.begin()
        clients = [self.client(), self.client()]
        for _ in range(3):
            for client in clients:
                self.assertEqual(200, client.ask("GET", "/", "h").status)
        # One for each, used again by its own client only.
        self.assertEqual(2, origin.connections)
        self.assertEqual([self.line_of(client) for client in clients], self.lines)

    def test_a_kept_connection_makes_room_for_another_client(self):
        self.begin(**config.breakers(max_connections=1))
        for count in range(1, 4):
            with Client(self.proxy.port()) as client:
                self.assertEqual(200, client.ask("GET", "/", "h").status)
                self.assertEqual(self.line_of(client), self.lines[-1])
                self.assertEqual(count, len(self.lines))

    def test_what_the_request_says_of_its_client_is_not_believed(self):
        self.begin(manager={"use_remote_address": True, "xff_num_trusted_hops": 1})
        client = self.client()
        self.assertEqual(200, client.ask("GET", "/", "h", headers=[("x-forwarded-for", "9.9.9.9, 8.8.8.8")]).status)
        self.assertEqual([self.line_of(client)], self.lines)

    def test_a_header_that_came_goes_on(self):
        inspector = config.typed("envoy.filters.listener.proxy_protocol",
                                 "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol")
        self.begin(listener_fields={"listener_filters": [inspector]})
        client = self.client()
        client.send("PROXY TCP4 10.1.2.3 10.0.0.1 7 80\r\n")
        self.assertEqual(200, client.ask("GET", "/", "h").status)
        self.assertEqual([b"PROXY TCP4 10.1.2.3 10.0.0.1 7 80"], self.lines)

    def test_health_checks(self):
        check = {"timeout": "2s", "interval": "60s", "unhealthy_threshold": 1, "healthy_threshold": 1,
                 "http_health_check": {"path": "/health"}}
        origin = self.begin(health_checks=[check])
        self.proxy.wait_stat("cluster.origin.membership_healthy", 1)
        wait_for(lambda: self.lines)
        self.assertRegex(self.lines[0], rb"^PROXY TCP4 127\.0\.0\.1 127\.0\.0\.1 \d+ %d$" % origin.port)

    def test_health_checks_of_version_2(self):
        heads = []

        def serve(wire):
            heads.append(wire.read(16))
            wire.message()
            wire.send(ok())
        origin = self.raw_origin(serve)
        check = {"timeout": "2s", "interval": "60s", "unhealthy_threshold": 1, "healthy_threshold": 1,
                 "http_health_check": {"path": "/health"}}
        self.start(config.bootstrap(config.listener(config.http([config.forward("origin")])), [
            config.cluster("origin", origin.port, transport_socket=proxy_header("V2"), health_checks=[check])]))
        self.proxy.wait_stat("cluster.origin.membership_healthy", 1)
        self.assertEqual(V2 + b"\x20\0\0\0", heads[0])


class Refused(ProxyTest):
    def fails_with(self, socket, message):
        with self.assertRaises(AssertionError) as caught:
            self.start(config.bootstrap([], [config.cluster("origin", 1, transport_socket=socket)]))
        self.assertIn(message, str(caught.exception))

    @unittest.skipIf(IS_ENVOY, "knows TLS")
    def test_others(self):
        tls = config.typed("envoy.transport_sockets.tls", SOCKETS + "tls.v3.UpstreamTlsContext")
        self.fails_with(tls, "static_resources.clusters[0].transport_socket")
        self.fails_with(proxy_header("V1", inner=tls),
                        "static_resources.clusters[0].transport_socket.typed_config.transport_socket")

    @unittest.skipIf(IS_ENVOY, "knows them")
    def test_type_length_values(self):
        socket = proxy_header("V2")
        socket["typed_config"]["config"]["pass_through_tlvs"] = {"match_type": "INCLUDE_ALL"}
        self.fails_with(socket, "pass_through_tlvs")

    def test_raw_buffer(self):
        origin = self.origin()
        self.start(config.bootstrap(config.listener(config.http([config.forward("origin")])), [
            config.cluster("origin", origin.port, transport_socket=RAW)]))
        self.assertEqual(200, self.ask("GET", "/", "h").status)


if __name__ == "__main__":
    unittest.main()
