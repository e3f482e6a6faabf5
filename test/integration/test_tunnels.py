"""Tunnels: their limits and log lines, which port they go to, and those that are the bodies of a POST."""
import threading
import unittest

from test.integration.test_connect import MIB, TunnelTest, pattern
from test.support import config
from test.support.proxy import IS_ENVOY
from test.support.wait import wait_for


class Limits(TunnelTest):
    """A tunnel ends when its time has come, also when one direction has ended before."""

    def half_closed(self, **fields):
        """The origin has said all, and the client keeps its side."""
        origin = self.raw_origin(lambda wire: (wire.send("x"), wire.finish(), wire.rest()))
        self.egress(**fields)
        client, _ = self.tunnel("ok.t:%d" % origin.port)
        self.assertEqual(b"x", client.rest())
        self.proxy.wait_stat("http.ingress.downstream_cx_upgrades_active", 0)
        self.proxy.wait_stat("cluster.dfp.upstream_cx_active", 0)
        return self.log()

    @unittest.skipIf(IS_ENVOY, "Envoy knows no half-closed tunnel")
    def test_idle_after_the_origins_end(self):
        self.assertEqual("SI", self.half_closed(stream_idle_timeout="0.3s")["flags"])

    @unittest.skipIf(IS_ENVOY, "Envoy knows no half-closed tunnel")
    def test_duration_after_the_origins_end(self):
        limit = {"max_stream_duration": {"max_stream_duration": "0.3s"}}
        self.assertEqual("max_duration_timeout", self.half_closed(routes=[config.connect(**limit)])["details"])

    @unittest.skipIf(IS_ENVOY, "Envoy cuts the tunnel at the client's FIN")
    def test_idle_after_the_clients_end(self):
        held = threading.Event()
        self.addCleanup(held.set)
        origin = self.raw_origin(lambda wire: (wire.rest(), held.wait(20)))
        self.egress(stream_idle_timeout="0.3s")
        client, _ = self.tunnel("ok.t:%d" % origin.port)
        client.finish()
        self.assertEqual(b"", client.rest())
        self.assertEqual("SI", self.log()["flags"])

    def test_duration(self):
        origin = self.raw_origin(lambda wire: wire.rest())
        self.egress(routes=[config.connect(max_stream_duration={"max_stream_duration": "0.3s"})])
        client, _ = self.tunnel("ok.t:%d" % origin.port)
        self.assertEqual(b"", client.rest())
        entry = self.log()
        self.assertEqual(("max_duration_timeout", "-"), (entry["details"], entry["flags"] or "-"))
        self.proxy.wait_stat("http.ingress.downstream_rq_max_duration_reached", 1)

    def test_a_line_when_it_stands(self):
        origin = self.echo()
        self.egress(access_log_options={"flush_log_on_tunnel_successfully_established": True})
        client, _ = self.tunnel("ok.t:%d" % origin.port)
        self.assertEqual(("CONNECT", 200), (self.log()["method"], self.log()["code"]))
        client.close()
        self.assertEqual(2, len(self.logs(2)))

    def test_it_ends_with_both_sides_although_lines_come_at_intervals(self):
        origin = self.echo()
        self.egress(access_log_options={"access_log_flush_interval": "3600s"})
        client, _ = self.tunnel("ok.t:%d" % origin.port)
        client.close()
        self.assertEqual(("CONNECT", 200), (self.log()["method"], self.log()["code"]))
        self.proxy.wait_stat("http.ingress.downstream_cx_active", 0)


class Ports(TunnelTest):
    """Which port a tunnel goes to, and which one its route is found with."""

    def test_a_stripped_port_is_still_the_destination(self):
        origin = self.echo()
        self.egress(strip_any_host_port=True,
                    hosts=[config.virtual_host([config.connect()], domains=["ok.t"])])
        client, _ = self.tunnel("ok.t:%d" % origin.port)
        client.send("x")
        self.assertEqual(b"x", client.read(1))
        self.refuse("nx.t:%d" % origin.port, 404, "", "route_not_found", "NR")

    def test_the_origin_sees_the_port(self):
        seen = []
        origin = self.raw_origin(lambda wire: (seen.append(wire.head()), wire.send("HTTP/1.1 200 OK\r\n\r\n")))
        self.egress(strip_any_host_port=True, hosts=[config.virtual_host(
            [{"match": {"connect_matcher": {}}, "route": {"cluster": "dfp"}}], domains=["ok.t"])])
        self.tunnel("ok.t:%d" % origin.port)
        self.assertEqual(b"CONNECT ok.t:%d HTTP/1.1" % origin.port, seen[0].start)

    @unittest.skipIf(IS_ENVOY, "Envoy cannot say it")
    def test_names_below_a_domain_on_any_port(self):
        origin = self.echo()
        self.egress(hosts=[config.virtual_host([config.connect()], domains=["*.t:*"])])
        client, _ = self.tunnel("ok.t:%d" % origin.port)
        client.send("x")
        self.assertEqual(b"x", client.read(1))
        self.refuse("t:%d" % origin.port, 404, "", "route_not_found", "NR")


class Post(TunnelTest):
    """allow_post: the bodies of a POST and of its answer are a tunnel."""

    def post(self, serve, framing="Transfer-Encoding: chunked"):
        origin = self.raw_origin(serve)
        upgrade = {"upgrade_type": "CONNECT", "connect_config": {"allow_post": True}}
        self.egress(routes=[{"match": {"prefix": "/"}, "route": {"cluster": "dfp", "upgrade_configs": [upgrade]}}])
        client = self.client()
        client.send("POST / HTTP/1.1\r\nHost: ok.t:%d\r\n%s\r\n\r\n" % (origin.port, framing))
        return client

    def test_the_answer_comes_before_the_body_ends(self):
        client = self.post(lambda wire: (wire.send(wire.read(3)), wire.send(wire.rest())))
        client.send("3\r\nabc\r\n")
        head = client.head()
        self.assertEqual(200, head.status)
        self.assertEqual(b"3\r\nabc\r\n", client.read(8))
        client.send("2\r\nde\r\n0\r\n\r\n")
        self.assertEqual(b"2\r\nde\r\n0\r\n\r\n", client.read(12))

    @unittest.skipIf(IS_ENVOY, "Envoy cuts the upload")
    def test_the_origin_ends_first(self):
        received = []
        client = self.post(lambda wire: (wire.send("bye"), wire.finish(), received.append(wire.rest())))
        client.send("3\r\nabc\r\n")
        self.assertEqual("bye", client.response().text())
        client.send("3\r\ndef\r\n0\r\n\r\n")
        wait_for(lambda: received)
        self.assertEqual([b"abcdef"], received)
        # The connection has come to a clean end of both messages, and serves on.
        client.send("GET / HTTP/1.1\r\nHost: nx.t\r\n\r\n")
        self.assertEqual(503, client.response().status)

    @unittest.skipIf(IS_ENVOY, "Envoy cuts the upload")
    def test_the_origin_ends_first_and_the_body_has_a_length(self):
        received = []
        client = self.post(lambda wire: (wire.send("bye"), wire.finish(), received.append(wire.rest())),
                           "Content-Length: %d" % MIB)
        self.assertEqual("bye", client.response().text())
        data = pattern(MIB, 31)
        client.send(data)
        wait_for(lambda: received)
        self.assertTrue(received[0] == data, "%d of %d bytes" % (len(received[0]), MIB))

    @unittest.skipIf(IS_ENVOY, "the origin does not hear of it in time")
    def test_the_client_breaks_off(self):
        received = []
        client = self.post(lambda wire: (wire.read(3), received.append(wire.rest())))
        client.send("3\r\nabc\r\n")
        client.reset()
        wait_for(lambda: received)
        self.proxy.wait_stat("cluster.dfp.upstream_cx_active", 0)


if __name__ == "__main__":
    unittest.main()
