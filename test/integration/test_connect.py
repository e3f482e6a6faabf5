"""CONNECT: who may, who may not, and that a tunnel loses no byte whoever closes first."""
import threading
import unittest

from test.support import config, names
from test.support.client import Client
from test.support.origin import closed_port
from test.support.proxy import IS_ENVOY, ProxyTest
from test.support.wait import wait_for

MIB = 1 << 20


def pattern(size, seed):
    """Bytes whose order matters: any loss or exchange shows."""
    block = bytes((i * seed + (i >> 8)) & 255 for i in range(65536))
    return (block * (size // 65536 + 1))[:size]


class TunnelTest(ProxyTest):
    """A forward proxy with CONNECT."""

    def egress(self, routes=None, hcm=True, cluster_fields=None, cache=None, hosts=None, **fields):
        settings = config.dns_cache(self.names({"ok.t": names.address("127.0.0.1"), "silent.t": names.SILENT}),
                                    **(cache or {}))
        if hcm is not None:
            fields["upgrade_configs"] = [{"upgrade_type": "CONNECT", **({} if hcm else {"enabled": False})}]
        manager = config.http(routes or [config.connect(), config.forward()], hosts=hosts,
                              filters=[config.dfp_filter(settings)], log=self.log_path, **fields)
        return self.start(config.bootstrap(config.listener(manager), [
            config.dfp_cluster(settings, **(cluster_fields or {}))]))

    def echo(self):
        def serve(wire):
            while True:
                data = wire.socket.recv(65536)
                if not data:
                    return
                wire.send(data)
        return self.raw_origin(serve)

    def tunnel(self, target, early=b""):
        client = self.client()
        client.send("CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (target, target), early)
        answer = client.response("CONNECT")
        self.assertEqual(200, answer.status, answer)
        return client, answer

    def refuse(self, target, status, body, details, flag="-", head="", closes=True):
        with Client(self.proxy.port()) as client:
            client.send("CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (target, target, head))
            answer = client.response("GET")
            self.assertEqual((status, body), (answer.status, answer.text()))
            if closes:
                self.assertTrue(client.at_eof())
        entry = self.log()
        self.assertEqual((flag, details), (entry["flags"], entry["details"]))


class Connect(TunnelTest):
    """The table of answers to CONNECT."""

    def test_tunnel(self):
        origin = self.echo()
        self.egress()
        client, answer = self.tunnel("ok.t:%d" % origin.port)
        for name in ("content-length", "transfer-encoding"):
            self.assertIsNone(answer.header(name))
        client.send("ping")
        self.assertEqual(b"ping", client.read(4))
        self.proxy.wait_stat("http.ingress.downstream_cx_upgrades_active", 1)
        client.close()
        self.proxy.wait_stat("http.ingress.downstream_cx_upgrades_active", 0)
        entry = self.log()
        self.assertEqual(("CONNECT", 200, "ok.t:%d" % origin.port),
                         (entry["method"], entry["code"], entry["authority"]))

    def test_ip_literal(self):
        origin = self.echo()
        self.egress()
        client, _ = self.tunnel("127.0.0.1:%d" % origin.port)
        client.send("x")
        self.assertEqual(b"x", client.read(1))

    def test_early_bytes_reach_the_origin(self):
        origin = self.echo()
        self.egress()
        client, _ = self.tunnel("ok.t:%d" % origin.port, b"early")
        self.assertEqual(b"early", client.read(5))

    def test_host_field_is_ignored(self):
        origin = self.echo()
        self.egress()
        with self.client() as client:
            client.send("CONNECT ok.t:%d HTTP/1.1\r\nHost: other.t\r\n\r\n" % origin.port)
            self.assertEqual(200, client.response("CONNECT").status)

    def test_not_enabled_is_403(self):
        self.egress(routes=[{"match": {"connect_matcher": {}}, "route": {"cluster": "dfp"}},
                            config.forward()], hcm=None)
        self.refuse("ok.t:443", 403, "", "upgrade_failed")
        self.proxy.wait_stat("http.ingress.downstream_rq_ws_on_non_ws_route", 1)

    def test_disabled_by_route_is_403(self):
        upgrade = {"upgrade_type": "CONNECT", "enabled": False, "connect_config": {}}
        self.egress(routes=[{"match": {"connect_matcher": {}},
                             "route": {"cluster": "dfp", "upgrade_configs": [upgrade]}}])
        self.refuse("ok.t:443", 403, "", "upgrade_failed")

    def test_enabled_by_route_alone(self):
        origin = self.echo()
        self.egress(hcm=None)
        self.tunnel("ok.t:%d" % origin.port)

    def test_route_beats_manager(self):
        origin = self.echo()
        self.egress(hcm=False)
        self.tunnel("ok.t:%d" % origin.port)

    def test_no_route_is_404(self):
        self.egress(routes=[config.forward()])
        self.refuse("ok.t:443", 404, "", "route_not_found", "NR")
        self.proxy.wait_stat("http.ingress.no_route", 1)

    def test_no_route_and_not_enabled_is_404(self):
        self.egress(routes=[config.forward()], hcm=None)
        self.refuse("ok.t:443", 404, "", "route_not_found", "NR")

    def test_domains_and_ports(self):
        origin = self.echo()
        port = origin.port
        for domains, more, status in ((["ok.t"], {}, 404), (["ok.t:%d" % port], {}, 200),
                                      (["ok.t:*"], {}, 200), (["ok.t:1"], {}, 404)):
            with self.subTest(domains=domains):
                self.proxy = None
                self.egress(hosts=[config.virtual_host([config.connect()], domains)], **more)
                with Client(self.proxy.port()) as client:
                    client.request("CONNECT", "ok.t:%d" % port, "ok.t:%d" % port)
                    self.assertEqual(status, client.response("CONNECT").status)

    def test_unresolvable(self):
        self.egress()
        self.refuse("nx.t:443", 503, "DNS resolution failure",
                    "dns_resolution_failure{cares_norecords:Domain_name_not_found}", "DF")

    def test_port_refuses(self):
        port, holder = closed_port()
        with holder:
            self.egress()
            self.refuse("ok.t:%d" % port, 503, "upstream connect error or disconnect/reset before headers. "
                        "reset reason: remote connection failure",
                        "upstream_reset_before_response_started{remote_connection_failure|"
                        "delayed_connect_error:_Connection_refused}", "UF")

    def test_bad_targets(self):
        self.egress()
        for target in ("ok.t", "ok.t:65536", "ok.t:99999999999", "u@ok.t:443", "ok.t:443/path",
                       "http://ok.t:443/"):
            with self.subTest(target=target):
                with Client(self.proxy.port()) as client:
                    client.request("CONNECT", target, "ok.t")
                    answer = client.response()
                    self.assertEqual((400, "Bad Request"), (answer.status, answer.text()))
                    self.assertTrue(client.at_eof())
        for entry in self.logs(6):
            self.assertEqual(("DPE", "http1.invalid_url"), (entry["flags"], entry["details"]))

    def test_body_is_not_allowed(self):
        self.egress()
        self.refuse("ok.t:443", 400, "Bad Request", "http1.body_disallowed", "DPE",
                    head="Content-Length: 5\r\n")

    def test_http_1_0(self):
        self.egress()
        with self.client() as client:
            client.send("CONNECT ok.t:443 HTTP/1.0\r\n\r\n")
            self.assertEqual(426, client.response().status)

    def test_tunnels_and_breakers(self):
        origin = self.echo()
        self.egress(cluster_fields=config.breakers(max_requests=0))
        self.tunnel("ok.t:%d" % origin.port)

    def test_forwarded_when_not_terminated(self):
        seen = []

        def serve(wire):
            seen.append(wire.head())
            wire.send("HTTP/1.1 200 OK\r\n\r\n")
            wire.send(wire.read(4))
        origin = self.raw_origin(serve)
        self.egress(routes=[{"match": {"connect_matcher": {}}, "route": {"cluster": "dfp"}}])
        client, _ = self.tunnel("ok.t:%d" % origin.port)
        client.send("ping")
        self.assertEqual(b"ping", client.read(4))
        self.assertEqual(b"CONNECT ok.t:%d HTTP/1.1" % origin.port, seen[0].start)

    def test_idle_tunnel_is_closed(self):
        origin = self.echo()
        self.egress(stream_idle_timeout="0.3s")
        client, _ = self.tunnel("ok.t:%d" % origin.port)
        client.send("x")
        self.assertEqual(b"x", client.read(1))
        self.assertTrue(client.at_eof())
        self.assertEqual("SI", self.log()["flags"])


class HalfClose(TunnelTest):
    """A FIN closes one direction; every byte of both arrives. On HTTP/1.1 Envoy loses data here."""

    def through(self, serve):
        """A tunnel to an origin that runs `serve`; the origin's end is awaited by finish()."""
        done = threading.Event()
        failures = []

        def run(wire):
            try:
                serve(wire)
            except (OSError, EOFError, AssertionError) as error:
                failures.append(error)
            finally:
                done.set()
        origin = self.raw_origin(run)
        self.egress()
        client, _ = self.tunnel("ok.t:%d" % origin.port)

        def finish():
            self.assertTrue(done.wait(20), "the origin did not end")
            self.assertEqual([], failures)
        return client, finish

    @unittest.skipIf(IS_ENVOY, "Envoy cuts the tunnel at the client's FIN")
    def test_client_finishes_first(self):
        received = []

        def serve(wire):
            received.append(wire.rest())
            wire.send("answer after FIN")
        client, finish = self.through(serve)
        client.send("question")
        client.finish()
        self.assertEqual(b"answer after FIN", client.rest())
        finish()
        self.assertEqual([b"question"], received)
        self.assertEqual(200, self.log()["code"])

    @unittest.skipIf(IS_ENVOY, "Envoy loses the rest of the upload")
    def test_upload_then_fin_to_a_slow_origin(self):
        data = pattern(4 * MIB, 7)
        received = []
        go = threading.Event()

        def serve(wire):
            go.wait(10)
            received.append(wire.rest())
            wire.send("%d" % len(received[0]))
        client, finish = self.through(serve)
        threading.Timer(0.2, go.set).start()
        client.send(data)
        client.finish()
        self.assertEqual(b"%d" % len(data), client.rest())
        finish()
        self.assertTrue(received[0] == data, "the upload differs")

    @unittest.skipIf(IS_ENVOY, "Envoy loses the rest of the upload")
    def test_upload_then_close(self):
        data = pattern(4 * MIB, 11)
        received = []
        client, finish = self.through(lambda wire: received.append(wire.rest()))
        client.send(data)
        client.close()
        finish()
        self.assertTrue(received[0] == data, "%d of %d bytes" % (len(received[0]), len(data)))

    def test_origin_sends_and_closes(self):
        data = pattern(4 * MIB, 13)
        client, finish = self.through(lambda wire: wire.send(data))
        self.assertTrue(client.rest() == data, "the download differs")
        finish()

    @unittest.skipIf(IS_ENVOY, "Envoy cuts both directions")
    def test_origin_finishes_while_the_client_sends(self):
        up, down = pattern(4 * MIB, 17), pattern(4 * MIB, 19)
        received = []

        def serve(wire):
            wire.send(down)
            wire.finish()
            received.append(wire.rest())
        client, finish = self.through(serve)
        # The client has the whole download before most of its upload leaves.
        client.send(up[:65536])
        self.assertTrue(client.rest() == down, "the download differs")
        client.send(up[65536:])
        client.finish()
        finish()
        self.assertTrue(received[0] == up, "%d of %d bytes" % (len(received[0]), len(up)))

    @unittest.skipIf(IS_ENVOY, "Envoy cuts both directions")
    def test_both_send_and_finish(self):
        up, down = pattern(4 * MIB, 23), pattern(4 * MIB, 29)
        received = []

        def serve(wire):
            sender = threading.Thread(target=lambda: (wire.send(down), wire.finish()))
            sender.start()
            received.append(wire.rest())
            sender.join()
        client, finish = self.through(serve)
        sender = threading.Thread(target=lambda: (client.send(up), client.finish()))
        sender.start()
        self.assertTrue(client.rest() == down, "the download differs")
        sender.join()
        finish()
        self.assertTrue(received[0] == up, "the upload differs")

    def test_origin_resets(self):
        client, finish = self.through(lambda wire: (wire.send("last words"), wire.read(2), wire.reset()))
        self.assertEqual(b"last words", client.read(10))
        client.send("go")
        self.assertTrue(client.at_eof())
        finish()

    def test_client_resets(self):
        received = []
        client, finish = self.through(lambda wire: received.append(wire.rest()))
        client.send("data")
        self.proxy.wait_stat("http.ingress.downstream_cx_upgrades_active", 1)
        wait_for(lambda: (self.proxy.stat("cluster.dfp.upstream_cx_tx_bytes_total") or 0) >= 4)
        client.reset()
        finish()
        self.assertEqual([b"data"], received)


class WebSocket(ProxyTest):
    """Upgrade: websocket through upgrade_configs."""

    HEAD = ("GET /chat HTTP/1.1\r\nHost: w\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")

    def serve(self, wire):
        request = wire.head()
        self.seen.append(request)
        wire.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                  "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
        while True:
            data = wire.socket.recv(4096)
            if not data:
                return
            wire.send(data)

    def gateway(self, **fields):
        self.seen = []
        origin = self.raw_origin(self.serve)
        manager = config.http([config.forward("origin")], log=self.log_path, **fields)
        self.start(config.bootstrap(config.listener(manager), [config.cluster("origin", origin.port)]))

    def test_echo(self):
        self.gateway(upgrade_configs=[{"upgrade_type": "websocket"}])
        with self.client() as client:
            client.send(self.HEAD)
            answer = client.head()
            self.assertEqual(101, answer.status)
            self.assertEqual("websocket", answer.header("upgrade").lower())
            self.assertEqual("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", answer.header("sec-websocket-accept"))
            frame = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"  # masked "Hello", RFC 6455 5.7
            client.send(frame)
            self.assertEqual(frame, client.read(len(frame)))
        self.assertEqual("websocket", self.seen[0].header("upgrade").lower())
        self.assertEqual("upgrade", self.seen[0].header("connection").lower())

    def test_not_enabled(self):
        self.gateway()
        with self.client() as client:
            client.send(self.HEAD)
            self.assertEqual(403, client.response().status)
        self.assertEqual("upgrade_failed", self.log()["details"])
        self.assertEqual([], self.seen)

    def test_origin_refuses(self):
        origin = self.origin(b"HTTP/1.1 426 Upgrade Required\r\ncontent-length: 2\r\n\r\nno")
        manager = config.http([config.forward("origin")], upgrade_configs=[{"upgrade_type": "websocket"}])
        self.start(config.bootstrap(config.listener(manager), [config.cluster("origin", origin.port)]))
        with self.client() as client:
            client.send(self.HEAD)
            answer = client.response()
            self.assertEqual((426, "no"), (answer.status, answer.text()))


if __name__ == "__main__":
    unittest.main()
