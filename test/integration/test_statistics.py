"""Statistics under Envoy's names: that what happens is counted, and what Envoy prints is there."""
import json
import re
import socket
import subprocess
import threading
import unittest

from test.support import config, names as names_of_tests
from test.support.client import Client
from test.support.origin import closed_port, ok
from test.support.proxy import IS_ENVOY, ProxyTest
from test.support.wait import wait_for

LARGE = 20 * 1024 * 1024  # more than all buffers on the way hold
HTTP = "http.ingress."
CLUSTER = "cluster.c."
FILTERS = "envoy.extensions.filters.http."
TLS_INSPECTOR = "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"


class Statistics(ProxyTest):
    """A gateway in front of one origin."""

    def serve(self, port=1, action=None, route=None, cluster=None, listener=None, manager=None, **fields):
        http = config.http([config.forward("c", action=action, **(route or {}))], log=self.log_path, **(manager or {}))
        return self.start(config.bootstrap(config.listener(http, stat_prefix="main", **(listener or {})),
                                           [config.cluster("c", port, **(cluster or {}))], **fields))

    def counts(self, **values):
        """Waits for counters of the cluster or of the manager; a name begins with `c_` or `h_`."""
        for name, value in values.items():
            name = name.replace("__", ".")
            self.proxy.wait_stat({"c": CLUSTER, "h": HTTP}[name[0]] + name[2:], value)

    def wait_above(self, name, least):
        return wait_for(lambda: (self.proxy.stat(name) or 0) > least and self.proxy.stat(name), 10, name)

    def become_equal(self, *names):
        wait_for(lambda: len({self.proxy.stat(name) for name in names}) == 1, 10, " = ".join(names))

    def test_client_that_reads_slowly(self):
        origin = self.origin(ok(b"x" * LARGE))
        self.serve(origin.port)
        client = self.client()
        client.request("GET", "/", "h")
        self.wait_above(CLUSTER + "upstream_flow_control_paused_reading_total", 0)
        self.assertEqual(LARGE, len(client.response().body))
        self.become_equal(CLUSTER + "upstream_flow_control_paused_reading_total", CLUSTER + "upstream_flow_control_resumed_reading_total")
        stats = self.proxy.stats("flow_control")
        self.assertEqual(0, stats[HTTP + "downstream_flow_control_paused_reading_total"])
        self.assertEqual(0, stats[CLUSTER + "upstream_flow_control_backed_up_total"])

    def upload(self, answer):
        """An origin that reads a body only when told to; the event that tells it."""
        go_on = threading.Event()

        def serve(wire):
            wire.head()
            answer(wire)
            go_on.wait(20)
            wire.read(LARGE)
            wire.send(ok(b"read") if answer is str else b"!")
        return self.raw_origin(serve), go_on

    def test_origin_that_reads_slowly(self):
        origin, go_on = self.upload(str)
        self.serve(origin.port)
        client = self.client()
        sender = threading.Thread(target=client.request, args=("POST", "/", "h"), kwargs={"body": b"x" * LARGE})
        sender.start()
        self.addCleanup(sender.join)
        self.addCleanup(go_on.set)
        self.wait_above(CLUSTER + "upstream_flow_control_backed_up_total", 0)
        self.wait_above(HTTP + "downstream_flow_control_paused_reading_total", 0)
        go_on.set()
        self.assertEqual(b"read", client.response().body)
        self.become_equal(CLUSTER + "upstream_flow_control_backed_up_total", CLUSTER + "upstream_flow_control_drained_total")
        self.become_equal(HTTP + "downstream_flow_control_paused_reading_total", HTTP + "downstream_flow_control_resumed_reading_total")
        self.assertEqual(0, self.proxy.stat(CLUSTER + "upstream_flow_control_paused_reading_total"))

    def test_tunnel_that_is_not_read(self):
        def begin(wire):
            wire.send(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n")
        origin, go_on = self.upload(begin)
        self.serve(origin.port, manager={"upgrade_configs": [{"upgrade_type": "x"}]})
        client = self.client()
        client.request("GET", "/", "h", headers=[("connection", "upgrade"), ("upgrade", "x")])
        self.assertEqual(101, client.head().status)
        sender = threading.Thread(target=client.send, args=(b"x" * LARGE,))
        sender.start()
        self.addCleanup(sender.join)
        self.addCleanup(go_on.set)
        self.wait_above(CLUSTER + "upstream_flow_control_backed_up_total", 0)
        go_on.set()
        self.assertEqual(b"!", client.read(1))
        self.become_equal(CLUSTER + "upstream_flow_control_backed_up_total", CLUSTER + "upstream_flow_control_drained_total")

    def test_origin_that_leaves(self):
        origin = self.raw_origin(lambda wire: (wire.head(), wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc")))
        self.serve(origin.port)
        client = self.client()
        client.request("GET", "/", "h")
        client.rest()
        self.counts(c_upstream_cx_destroy_remote_with_active_rq=1, c_upstream_cx_destroy_with_active_rq=1,
                    c_upstream_cx_destroy_local_with_active_rq=0, c_upstream_cx_destroy_remote=1)

    def test_client_that_leaves(self):
        origin = self.raw_origin(lambda wire: wire.rest())
        self.serve(origin.port)
        client = self.client()
        client.request("GET", "/", "h")
        self.counts(c_upstream_rq_total=1)
        client.close()
        self.counts(c_upstream_cx_destroy_local_with_active_rq=1, c_upstream_cx_destroy_with_active_rq=1,
                    c_upstream_cx_destroy_remote_with_active_rq=0,
                    h_downstream_cx_destroy_remote=1, h_downstream_cx_destroy_remote_active_rq=1,
                    h_downstream_cx_destroy_local=0, h_downstream_cx_destroy_local_active_rq=0)

    def test_whole_exchange(self):
        answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\nx"
        origin = self.raw_origin(lambda wire: (wire.message(), wire.send(answer)))
        self.serve(origin.port)
        self.assertEqual(200, self.ask("GET", "/", "h").status)
        self.counts(c_upstream_cx_destroy=1, c_upstream_cx_destroy_with_active_rq=0,
                    c_upstream_rq_completed=1)
        stats = self.proxy.stats("upstream_rq_completed")
        self.assertEqual(1, stats["cluster.c.external.upstream_rq_completed"])
        self.assertEqual(0, stats.get("cluster.c.internal.upstream_rq_completed", 0))

    def test_retries(self):
        answers = [b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n", ok()]
        origin = self.origin(lambda request: answers.pop(0))
        self.serve(origin.port, action={"retry_policy": {"retry_on": "5xx"}})
        self.assertEqual(200, self.ask("GET", "/", "h", headers=[("x-forwarded-for", "10.0.0.1")]).status)
        stats = self.proxy.stats("upstream_rq_completed")
        self.assertEqual((1, 1), (stats["cluster.c.retry.upstream_rq_completed"], stats["cluster.c.upstream_rq_completed"]))

    def test_body_too_large_to_be_sent_again(self):
        origin = self.origin(ok())
        self.serve(origin.port, action={"retry_policy": {"retry_on": "5xx"}}, route={"per_request_buffer_limit_bytes": 10})
        self.assertEqual(200, self.ask("POST", "/", "h", body=b"x" * 10).status)
        self.counts(c_retry_or_shadow_abandoned=0)
        self.assertEqual(200, self.ask("POST", "/", "h", body=b"x" * 11).status)
        self.counts(c_retry_or_shadow_abandoned=1)

    def test_regression_the_listener_limits_what_is_kept_of_a_body(self):
        origin = self.origin(lambda request: b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n")
        route = config.forward("c", action={"retry_policy": {"retry_on": "5xx"}})
        front = config.listener(config.http([route]))
        front["per_connection_buffer_limit_bytes"] = 2000
        self.start(config.bootstrap(front, [config.cluster("c", origin.port)]))
        self.assertEqual(503, self.ask("POST", "/", "h", body=b"x" * 1000).status)
        self.counts(c_retry_or_shadow_abandoned=0, c_upstream_rq_retry=1)
        self.assertEqual(503, self.ask("POST", "/", "h", body=b"x" * 5000).status)
        self.counts(c_retry_or_shadow_abandoned=1, c_upstream_rq_retry=1)
        self.assertEqual(0, self.proxy.stats().get(HTTP + "rq_retry_skipped_request_not_complete", 0))

    def test_client_that_does_not_close(self):
        self.serve(self.origin(ok()).port, manager={"delayed_close_timeout": "0.1s"})
        client = self.client()
        client.send(b"GET / HTTP/1.1\r\nhost: h\r\n\r\nBAD\r\n\r\n")
        self.counts(h_downstream_cx_delayed_close_timeout=1, h_downstream_cx_destroy_local=1)

    def test_regression_no_time_to_close_is_no_wait(self):
        self.serve(self.origin(ok()).port, manager={"delayed_close_timeout": "0s"})
        client = self.client()
        client.send(b"BAD\r\n\r\n")
        self.counts(h_downstream_cx_active=0, h_downstream_cx_delayed_close_timeout=0, h_downstream_cx_destroy_local=1)

    def test_connections_that_no_chain_takes(self):
        content = config.listener(config.http([config.direct(200)]), stat_prefix="main")
        content["filter_chains"][0]["filter_chain_match"] = {"source_ports": [1]}
        self.start(config.bootstrap(content))
        self.assertTrue(self.client().at_eof())
        self.proxy.wait_stat("listener.main.no_filter_chain_match", 1)
        stats = self.proxy.stats("listener.main.downstream_cx")
        self.assertEqual([0, 0, 0], [stats["listener.main.downstream_cx_" + name] for name in ("total", "active", "destroy")])

    def test_limit_of_a_listener(self):
        self.serve(self.origin(ok()).port, layered_runtime={"layers": [{"name": "s", "static_layer": {
            "envoy.resource_limits.listener.main.connection_limit": 1}}]})
        first = self.client()
        self.assertEqual(200, first.ask("GET", "/", "h").status)
        try:
            self.assertTrue(self.client().at_eof())
        except ConnectionResetError:  # the reset came before connect() had returned
            pass
        self.assertEqual(200, first.ask("GET", "/", "h").status)
        self.proxy.wait_stat("listener.main.downstream_cx_overflow", 1)

        self.assertEqual((1, 1), (self.proxy.stat("listener.main.downstream_cx_overflow"),
                                  self.proxy.stat("listener.main.downstream_cx_total")))
        first.close()
        self.proxy.wait_stat("listener.main.downstream_cx_active", 0)
        self.assertEqual(200, self.ask("GET", "/", "h").status)

    def test_connections_per_event(self):
        self.serve(self.origin(ok()).port, stats_flush_interval="0.1s")  # Envoy shows histograms as of the last flush
        for _ in range(3):
            self.assertEqual(200, self.ask("GET", "/", "h").status)
        pattern = r"envoy_listener_connections_accepted_per_socket_event_%s\{[^}]*main[^}]*\} (\d+)"

        def value(part):
            return int(re.search(pattern % part, self.proxy.admin("/stats/prometheus").text).group(1))
        wait_for(lambda: value("count") == 3)
        self.assertGreaterEqual(value("sum"), 3)

    def test_client_that_leaves_before_it_speaks(self):
        self.serve(listener={"listener_filters": [config.typed("tls", TLS_INSPECTOR)]})
        for beginning in (b"", b"\x16\x03\x01"):
            client = self.client()
            client.send(beginning)
            client.close()
        self.proxy.wait_stat("listener.main.downstream_listener_filter_remote_close", 2)
        self.counts(h_downstream_cx_total=0)

    def test_weight(self):
        cluster = config.cluster("c", 1, 2, kind="STRICT_DNS")
        cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][1]["load_balancing_weight"] = 7
        self.start(config.bootstrap(config.listener(config.http([config.forward("c")])), [cluster]))
        self.proxy.wait_stat("cluster.c.max_host_weight", 7)

    def test_no_limit_of_pools(self):
        self.serve(cluster=config.breakers(track_remaining=True))
        name = "cluster.c.circuit_breakers.default.remaining_cx_pools"
        self.assertEqual(2**64 - 1, self.proxy.stat(name))
        page = json.loads(self.proxy.admin("/stats?format=json&filter=remaining_cx_pools").text)
        self.assertIn({"name": name, "value": 2**64 - 1}, page["stats"])
        page = self.proxy.admin("/stats/prometheus?filter=remaining_cx_pools").text
        value = re.search(r"^envoy_cluster_circuit_breakers_default_remaining_cx_pools\{.*\} (\S+)", page, re.MULTILINE)
        self.assertEqual(str(2**64 - 1), value.group(1))

    def test_kinds_of_answers(self):
        answers = [ok(b"", "x-envoy-upstream-canary: true"), ok(), ok()]
        origin = self.origin(lambda request: answers.pop(0))
        cluster = config.cluster("c", origin.port)
        cluster["load_assignment"]["endpoints"][0]["locality"] = {"zone": "there"}
        manager = config.http([config.forward("c")], use_remote_address=True,
                              internal_address_config={"cidr_ranges": [config.cidr("127.0.0.0", 8)]})
        self.start(config.bootstrap(config.listener(manager), [cluster], stats_flush_interval="0.1s",
                                    node={"id": "n", "cluster": "n", "locality": {"zone": "here"}}))
        for name in ("shop", "shop", "bank"):
            self.assertEqual(200, self.ask("GET", "/", "h", headers=[("x-envoy-upstream-alt-stat-name", name)]).status)
        self.counts(c_internal__upstream_rq_200=3, c_zone__here__there__upstream_rq_200=3, c_canary__upstream_rq_200=1,
                    c_shop__upstream_rq_2xx=2, c_shop__internal__upstream_rq_completed=2,
                    c_shop__canary__upstream_rq_200=1, c_bank__zone__here__there__upstream_rq_200=1)
        stats = self.proxy.stats()
        self.assertEqual((0, None), (stats.get(CLUSTER + "external.upstream_rq_200", 0), stats.get(CLUSTER + "bank.canary.upstream_rq_200")))
        self.assertNotIn(b"alt-stat-name", b"".join(name.encode() for request in origin.requests for name, _ in request.headers))

        def histograms():
            page = self.proxy.admin("/stats?filter=upstream_rq_time").text
            return {line.split(":")[0] for line in page.splitlines() if "No recorded values" not in line}
        wanted = {CLUSTER + name + "upstream_rq_time" for name in
                  ("", "internal.", "canary.", "zone.here.there.", "shop.", "shop.internal.", "bank.zone.here.there.")}
        wait_for(lambda: wanted <= histograms(), 5, "the times")

    def test_regression_a_request_that_is_turned_away_counts_under_its_name(self):
        manager = config.http([config.forward("c")], use_remote_address=True,
                              internal_address_config={"cidr_ranges": [config.cidr("127.0.0.0", 8)]})
        away = {"layers": [{"name": "base", "static_layer": {"upstream": {"maintenance_mode": {"c": 100}}}}]}
        self.start(config.bootstrap(config.listener(manager), [config.cluster("c", self.origin(ok()).port)],
                                    layered_runtime=away))
        self.assertEqual(503, self.ask("GET", "/", "h", headers=[("x-envoy-upstream-alt-stat-name", "shop")]).status)
        self.counts(c_upstream_rq_503=1, c_internal__upstream_rq_503=1, c_shop__upstream_rq_503=1)

    def test_interim_responses(self):
        """The origin's are answers of its cluster, and what the client sees of them is counted as well."""
        interim = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
        origin = self.origin(interim + ok())
        self.serve(origin.port, manager={"proxy_100_continue": True})
        client = self.client()
        client.request("GET", "/", "h")
        self.assertEqual([103, 200], [client.head().status, client.response().status])
        self.counts(c_upstream_rq_103=1, c_upstream_rq_1xx=1, c_external__upstream_rq_103=1, c_upstream_rq_completed=2,
                    h_downstream_rq_1xx=1, h_downstream_rq_2xx=1, h_downstream_rq_completed=2)

    def test_our_own_100(self):
        self.serve(self.origin(ok()).port)
        client = self.client()
        client.send(b"POST / HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\n")
        self.assertEqual(100, client.head().status)
        client.send(b"x")
        self.assertEqual(200, client.response().status)
        self.counts(h_downstream_rq_1xx=1, h_downstream_rq_completed=2, c_upstream_rq_completed=1)

    def test_regression_redirects_are_direct_responses(self):
        self.start(config.bootstrap(config.listener(config.http(
            [{"match": {"prefix": "/"}, "redirect": {"path_redirect": "/new"}}]))))
        self.assertEqual(301, self.ask("GET", "/", "h").status)
        self.proxy.wait_stat("http.ingress.rq_direct_response", 1)

    def test_names_of_outsiders(self):
        self.serve(self.origin(ok()).port, manager={"use_remote_address": True})
        self.assertEqual(200, self.ask("GET", "/", "h", headers=[("x-forwarded-for", "8.8.8.8"), ("x-envoy-upstream-alt-stat-name", "shop")]).status)
        self.counts(c_external__upstream_rq_200=1)
        self.assertEqual({}, self.proxy.stats("shop"))

    def test_response_that_is_cut(self):
        head = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"
        for action, serve in (({}, lambda wire: (wire.head(), wire.send(head))),
                              ({"timeout": "0.3s"}, lambda wire: (wire.head(), wire.send(head), wire.rest()))):
            proxy = self.serve(self.raw_origin(serve).port, action=action)
            with Client(proxy.port()) as client:
                client.request("GET", "/", "h")
                client.rest()
            for name in ("downstream_rq_rx_reset", "downstream_rq_tx_reset"):
                proxy.wait_stat(HTTP + name, 1)
            proxy.wait_stat(CLUSTER + "upstream_cx_protocol_error", 0 if action else 1)

    def test_client_that_breaks_the_protocol(self):
        self.serve(self.raw_origin(lambda wire: wire.rest()).port)
        for count, message in enumerate((b"GET / HTTP/1.1\r\nhost: h\r\nno colon\r\n\r\n",
                                         b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\nno size\r\n"), 1):
            with Client(self.proxy.port()) as client:
                client.send(message)
                self.assertIn(b"400 Bad Request", client.rest())
            self.counts(h_downstream_rq_rx_reset=count, h_downstream_cx_protocol_error=count, h_downstream_rq_tx_reset=0)
        self.assertEqual(0, self.proxy.stats("cluster.c").get("cluster.c.upstream_rq_4xx", 0))

    def test_heads_that_do_not_become_requests(self):
        """Each is a request of HTTP/1.1 in the totals; only what breaks the protocol is an error of it."""
        self.serve(manager={"request_headers_timeout": "0.3s"})
        with Client(self.proxy.port()) as client:
            client.send(b"GET / HTTP/1.1\r\nhos")
            self.assertIn(b"408 Request Timeout", client.rest())
        self.counts(h_downstream_rq_header_timeout=1, h_downstream_rq_total=1, h_downstream_rq_http1_total=1,
                    h_downstream_rq_response_before_rq_complete=1, h_downstream_cx_protocol_error=0)
        with Client(self.proxy.port()) as client:
            client.send(b"GET / HTTP/1.1\r\n\r\n")
            self.assertEqual(400, client.response().status)
        self.counts(h_downstream_rq_total=2, h_downstream_rq_http1_total=2, h_downstream_cx_protocol_error=0,
                    h_downstream_rq_response_before_rq_complete=1)
        with Client(self.proxy.port()) as client:
            client.send(b"GET / HTTP/1.1\r\nhos")
        self.counts(h_downstream_rq_total=3, h_downstream_rq_http1_total=3, h_downstream_cx_destroy_remote_active_rq=1)
        with Client(self.proxy.port()) as client:
            client.send(b"GET / HTTP/1.1\r\nhost: h\r\nx: " + b"a" * 70000 + b"\r\n\r\n")
            self.assertIn(b"431 ", client.rest())
        self.counts(h_downstream_rq_total=4, h_downstream_cx_protocol_error=1, h_downstream_rq_too_large=0)

    def test_body_that_is_too_large(self):
        buffer = config.typed("envoy.filters.http.buffer", "envoy.extensions.filters.http.buffer.v3.Buffer", max_request_bytes=10)
        self.serve(self.origin(ok()).port, manager={"filters": [buffer]})
        self.assertEqual(413, self.ask("POST", "/", "h", body=b"x" * 11).status)
        self.counts(h_downstream_rq_too_large=1, h_downstream_rq_4xx=1)

    def test_timeout_is_not_a_cancelled_request(self):
        self.serve(self.raw_origin(lambda wire: wire.rest()).port, action={"timeout": "0.2s"})
        self.assertEqual(504, self.ask("GET", "/", "h").status)
        self.counts(c_upstream_rq_timeout=1, c_upstream_rq_cancelled=0, h_downstream_rq_tx_reset=0, h_downstream_rq_rx_reset=0)

    def test_request_that_ends_before_it_has_a_connection(self):
        # A queue of connections that is full: the next one takes for ever.
        listening = socket.socket()
        self.addCleanup(listening.close)
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(3):
            filler = socket.socket()
            self.addCleanup(filler.close)
            filler.setblocking(False)
            filler.connect_ex(listening.getsockname())
        self.serve(listening.getsockname()[1], action={"timeout": "0.3s"}, cluster={"connect_timeout": "20s"})
        self.assertEqual(504, self.ask("GET", "/", "h").status)
        self.counts(c_upstream_rq_cancelled=1, c_upstream_rq_total=0, c_upstream_cx_http1_total=1)

    def test_connection_that_fails(self):
        port, holder = closed_port()
        self.addCleanup(holder.close)
        self.serve(port)
        self.assertEqual(503, self.ask("GET", "/", "h").status)
        self.counts(c_upstream_cx_total=1, c_upstream_cx_http1_total=1, c_upstream_cx_connect_fail=1, c_upstream_cx_destroy=1,
                    c_upstream_cx_destroy_remote=1, c_upstream_cx_destroy_local=0, c_upstream_cx_active=0)

    def test_tunnel(self):
        origin = self.raw_origin(lambda wire: wire.send(b"!"))
        http = config.http([config.connect("c")], upgrade_configs=[{"upgrade_type": "CONNECT"}])
        self.start(config.bootstrap([config.listener(http), config.listener(config.tcp("c"), name="tcp")],
                                    [config.cluster("c", origin.port)]))
        with Client(self.proxy.port()) as client:
            client.send(b"CONNECT h:1 HTTP/1.1\r\nhost: h:1\r\n\r\n")
            self.assertIn(b"200 OK", client.rest())
        self.counts(c_upstream_rq_total=1, c_upstream_cx_total=1, c_upstream_cx_http1_total=0)
        with Client(self.proxy.port("tcp")) as client:
            self.assertEqual(b"!", client.rest())
        self.counts(c_upstream_rq_total=2, c_upstream_cx_total=2, c_upstream_cx_http1_total=0)

    def test_tunnel_that_is_reset(self):
        origin = self.raw_origin(lambda wire: (wire.read(1), wire.reset()))
        http = config.http([config.connect("c")], upgrade_configs=[{"upgrade_type": "CONNECT"}])
        self.start(config.bootstrap([config.listener(http), config.listener(config.tcp("c"), name="tcp")],
                                    [config.cluster("c", origin.port)]))
        for count, (port, head) in enumerate(((self.proxy.port(), b"CONNECT h:1 HTTP/1.1\r\nhost: h:1\r\n\r\n"),
                                              (self.proxy.port("tcp"), b"")), 1):
            with Client(port) as client:
                client.send(head + b"x")
                client.rest()
            self.counts(c_upstream_cx_destroy_remote_with_active_rq=count, c_upstream_cx_destroy_remote=count,
                        c_upstream_cx_destroy_local_with_active_rq=0)

    def test_names(self):
        """What cannot happen here is there all the same, for dashboards."""
        self.serve(self.origin(ok()).port)
        self.assertEqual(200, self.ask("GET", "/", "h").status)  # Envoy makes some of them with the first connection.
        stats = self.proxy.stats()
        self.assertEqual({}, {name: stats.get(name) for name in (
            *(HTTP + name for name in ("downstream_rq_rejected_via_ip_detection", "rs_too_large", "rq_overload_local_reply",
                                          "tracing.not_traceable", "passthrough_internal_redirect_predicate",
                                          "downstream_rq_http2_total", "downstream_cx_ssl_active",
                                          "downstream_cx_http1_soft_drain", "downstream_rq_too_many_premature_resets")),
            *("server." + name for name in ("debug_assertion_failures", "dropped_stat_flushes", "envoy_bug_failures", "wip_protos")),
            "listener_manager.total_filter_chains_draining", "listener_manager.listener_in_place_updated",
            "cluster_manager.cluster_updated_via_merge", "cluster_manager.update_merge_cancelled",
            "cluster_manager.update_out_of_merge_window", "listener.main.extension_config_missing",
            "listener.main.network_extension_config_missing", "listener.main.downstream_cx_transport_socket_connect_timeout",
            *(CLUSTER + name for name in (
                "http1.dropped_headers_with_underscores", "http1.metadata_not_supported_error", "http1.response_flood",
                "http1.requests_rejected_with_underscores_in_headers", "upstream_cx_pool_overflow", "version",
                "upstream_cx_connect_attempts_exceeded", "lb_subsets_active", "lb_subsets_created", "lb_subsets_fallback",
                "lb_subsets_fallback_panic", "lb_subsets_removed", "lb_subsets_selected",
                "lb_recalculate_zone_structures", "lb_zone_cluster_too_small", "lb_zone_routing_cross_zone", "warming_state",
                "original_dst_host_invalid", "upstream_rq_0rtt", "upstream_rq_rx_reset", "upstream_http3_broken",
                "upstream_cx_connect_with_0_rtt", "upstream_rq_rx_reset_no_error", "upstream_rq_tx_reset"))) if stats.get(name) != 0})


@unittest.skipIf(IS_ENVOY, "Envoy has its own names only")
class PrometheusNames(ProxyTest):
    """/stats/prometheus?names=prometheus: the names that Prometheus's conventions ask for."""

    def test_regression_a_tag_takes_a_word_of_a_name(self):
        tag = {"tag_name": "x", "regex": "^server(\\.days_until_first_cert_expiring)$"}
        self.start(config.bootstrap(config.listener(config.http([config.direct(200)])), stats_config={"stats_tags": [tag]}))
        self.assertEqual(200, self.proxy.admin("/stats/prometheus?names=prometheus").status)

    @unittest.skipIf(IS_ENVOY, "Envoy writes the label twice")
    def test_regression_two_tags_become_one_name(self):
        tags = [{"tag_name": "my.tag", "fixed_value": "a"}, {"tag_name": "my_tag", "fixed_value": "b"}]
        self.start(config.bootstrap(config.listener(config.http([config.direct(200)])), stats_config={"stats_tags": tags}))
        for page in ("/stats/prometheus", "/stats/prometheus?names=prometheus"):
            self.assertIn('{my_tag="a",my_tag_2="b"}', self.proxy.admin(page).text)

    def busy(self):
        """A configuration with something of everything that counts, and names that look like units and types."""
        names = self.names({"*.t": names_of_tests.address("127.0.0.1")})
        cache = config.dns_cache(names, name="myCache")
        host = config.virtual_host(
            [config.direct(200, "in", prefix="/direct"), config.forward("c", prefix="/c", stat_prefix="seconds"), config.forward()],
            name="kilobytes", virtual_clusters=[{"name": "h", "headers": [{"name": ":path", "string_match": {"prefix": "/c"}}]}])
        all_requests = {"default_value": {"numerator": 100}}
        filters = [
            config.typed("envoy.filters.http.local_ratelimit", FILTERS + "local_ratelimit.v3.LocalRateLimit", stat_prefix="days",
                         filter_enabled=all_requests, token_bucket={"max_tokens": 100, "tokens_per_fill": 1, "fill_interval": "1s"}),
            config.typed("envoy.filters.http.rbac", FILTERS + "rbac.v3.RBAC", rules_stat_prefix="gauge", track_per_rule_stats=True,
                         rules={"policies": {"counter": {"permissions": [{"any": True}], "principals": [{"any": True}]}}}),
            config.typed("envoy.filters.http.fault", FILTERS + "fault.v3.HTTPFault"), config.dfp_filter(cache)]
        manager = config.http(hosts=[host], filters=filters, use_remote_address=True,
                              internal_address_config={"cidr_ranges": [config.cidr("127.0.0.0", 8)]})
        tcp = config.listener(config.tcp("c", prefix="summary"), name="tcp")
        tcp["filter_chains"][0]["filters"].insert(0, config.typed(
            "envoy.filters.network.connection_limit", "envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit",
            stat_prefix="ms", max_connections=10))
        check = {"timeout": "1s", "interval": "1s", "unhealthy_threshold": 1, "healthy_threshold": 1, "http_health_check": {"path": "/"}}
        cluster = config.cluster("c", self.upstream.port, health_checks=[check], outlier_detection={},
                                 **config.breakers(track_remaining=True))
        monitor = config.typed("envoy.resource_monitors.global_downstream_max_connections",
                               "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                               max_active_downstream_connections=100)
        self.start(config.bootstrap([config.listener(manager), tcp], [cluster, config.dfp_cluster(cache, **config.breakers())],
                                    overload_manager={"refresh_interval": "0.05s", "resource_monitors": [monitor]}))

    def test_promtool_has_nothing_to_say(self):
        self.upstream = self.origin()
        self.busy()
        for target, host in (("/direct", "h"), ("/c", "h"), ("/", "a.t:%d" % self.upstream.port), ("/", "nx.nx")):
            self.ask("GET", target, host, headers=[("x-envoy-upstream-alt-stat-name", "hours")])
        for query in ("", "&text_readouts", "&histogram_buckets=summary"):
            page = self.proxy.admin("/stats/prometheus?names=prometheus" + query).text
            checked = subprocess.run(["promtool", "check", "metrics"], input=page.encode(), timeout=30, check=False,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            self.assertEqual((0, ""), (checked.returncode, checked.stdout.decode()), query)

    def test_names_and_units(self):
        origin = self.origin()
        self.start(config.bootstrap(config.listener(config.http([config.forward("c")])), [config.cluster("c", origin.port)]))
        self.assertEqual(200, self.ask("GET", "/", "h").status)
        self.proxy.wait_stat(CLUSTER + "upstream_rq_200", 1)
        page = self.proxy.admin("/stats/prometheus?names=prometheus").text
        for line in ('envoy_cluster_upstream_rq_total{envoy_cluster_name="c"} 1',
                     'envoy_cluster_upstream_rq_by_code_total{envoy_cluster_name="c",envoy_response_code="200"} 1',
                     'envoy_cluster_membership{envoy_cluster_name="c"} 1',
                     'envoy_cluster_upstream_cx_connect_seconds_bucket{envoy_cluster_name="c",le="0.0005"} ',
                     'envoy_cluster_upstream_rq_per_cx_bucket{envoy_cluster_name="c",le="0.5"} ',
                     'envoy_cluster_upstream_rq_time_seconds_sum{envoy_cluster_name="c"} '):
            self.assertIn("\n" + line, page)
        self.assertIn("envoy_cluster_membership{", self.proxy.admin("/stats?format=prometheus&names=prometheus").text)
        self.assertIn("envoy_cluster_upstream_cx_connect_ms_sum", self.proxy.admin("/stats/prometheus?names=envoy").text)
        answer = self.proxy.admin("/stats/prometheus?names=x")
        self.assertEqual((400, "usage: /stats/prometheus?names=(envoy|prometheus)\n"), (answer.status, answer.text))


if __name__ == "__main__":
    unittest.main()
