"""The admin page."""
import re
import subprocess
import unittest

from test.support import config, names
from test.support.client import Client
from test.support.proxy import IS_ENVOY, ProxyTest
from test.support.wait import wait_for


class Admin(ProxyTest):
    """One forward proxy that has served a request."""

    def setUp(self):
        super().setUp()
        self.upstream = self.origin()
        self.start(config.forward_proxy(
            self.names({"ok.t": names.address("127.0.0.1")}), log=self.log_path,
            cluster_fields=config.breakers(max_connections=40000, max_pending_requests=40000,
                                           max_requests=40000, max_retries=40000, track_remaining=True)))
        self.authority = "ok.t:%d" % self.upstream.port
        self.assertEqual(200, self.ask("GET", "/", self.authority).status)

    def test_ready(self):
        answer = self.proxy.admin("/ready")
        self.assertEqual((200, "LIVE\n"), (answer.status, answer.text))

    def test_home_and_help(self):
        answer = self.proxy.admin("/")
        self.assertEqual(200, answer.status)
        self.assertTrue(answer.headers["content-type"].startswith("text/html"))
        for text in (answer.text, self.proxy.admin("/help").text):
            for path in ("/clusters", "/config_dump", "/stats/prometheus", "/quitquitquit"):
                self.assertIn(path[1:], text)

    def test_unknown_path(self):
        answer = self.proxy.admin("/nothing")
        self.assertEqual(404, answer.status)
        self.assertTrue(answer.text.startswith("invalid path. admin commands are:"), answer.text[:99])

    def test_server_info(self):
        info = self.proxy.admin("/server_info").json()
        self.assertEqual("LIVE", info["state"])
        self.assertEqual(2, info["command_line_options"]["concurrency"])
        for name in ("version", "uptime_current_epoch", "node"):
            self.assertIn(name, info)

    @unittest.skipIf(IS_ENVOY, "Envoy words it otherwise")
    def test_extensions_are_logged(self):
        self.assertRegex(self.proxy.log(), r"HTTP filters: .*envoy\.filters\.http\.router "
                                           r"\(robust_to_untrusted_downstream_and_upstream\)")

    def test_stats(self):
        # The client has its answer before the request is counted.
        wait_for(lambda: self.proxy.stats().get("http.ingress.downstream_rq_2xx") == 1)
        text = self.proxy.admin("/stats").text
        lines = [line for line in text.splitlines() if line]
        for line in lines:
            self.assertRegex(line, r"^[^ ]+: .+$")
        stats = self.proxy.stats()
        for name, value in (("http.ingress.downstream_rq_total", 1), ("http.ingress.downstream_rq_2xx", 1),
                            ("cluster.dfp.upstream_rq_total", 1), ("cluster.dfp.upstream_rq_200", 1),
                            ("dns_cache.cache.host_added", 1), ("dns_cache.cache.num_hosts", 1),
                            ("dns_cache.cache.dns_query_success", 1),
                            ("dns_cache.cache.circuit_breakers.rq_pending_remaining", 1024),
                            ("cluster.dfp.circuit_breakers.default.remaining_rq", 40000),
                            ("server.live", 1), ("server.concurrency", 2)):
            self.assertEqual(value, stats.get(name), name)
        # Text before histograms, each sorted.
        counters = [line.split(": ")[0] for line in lines if line.split(": ")[1].isdigit()]
        self.assertEqual(sorted(counters), counters)

    def test_stats_filters(self):
        stats = self.proxy.stats("^dns_cache")
        self.assertEqual(["dns_cache"], sorted({name.split(".")[0] for name in stats}))
        for name in ("cache_load", "dns_address_filter_out", "dns_query_attempt", "dns_query_failure",
                     "dns_query_timeout", "dns_rq_pending_overflow", "host_address_changed",
                     "host_overflow", "host_removed", "circuit_breakers.rq_pending_open"):
            self.assertIn("dns_cache.cache." + name, stats)
        answer = self.proxy.admin("/stats?usedonly")
        self.assertNotIn("dns_cache.cache.host_overflow", answer.text)
        self.assertIn("cluster.dfp.circuit_breakers.default.cx_open: 0\n", answer.text)
        self.assertNotIn("cluster.dfp.circuit_breakers.high.cx_open", answer.text)
        self.assertEqual(400, self.proxy.admin("/stats?filter=(").status)
        self.assertEqual(400, self.proxy.admin("/stats?format=xml").status)
        page = self.proxy.admin("/stats?format=html&usedonly&type=Gauges&filter=^server.live$|<b>")
        self.assertEqual((200, "text/html; charset=UTF-8"), (page.status, page.headers["content-type"]))
        self.assertIn("server.live: 1", page.text)
        self.assertNotIn("server.uptime", page.text)
        self.assertNotIn("<b>", page.text)
        active = self.proxy.admin("/stats?format=active-html")
        self.assertEqual(200, active.status)
        self.assertIn("server.live: 1", active.text)
        self.assertEqual(400, self.proxy.admin("/stats?format=html&filter=(").status)
        parsed = self.proxy.admin("/stats?format=json&filter=^server.live$").json()
        self.assertEqual([{"name": "server.live", "value": 1}], parsed["stats"])

    def test_prometheus(self):
        text = self.proxy.admin("/stats/prometheus").text
        for line in ('envoy_http_downstream_rq_total{envoy_http_conn_manager_prefix="ingress"} 1',
                     'envoy_http_downstream_rq_xx{envoy_response_code_class="2",'
                     'envoy_http_conn_manager_prefix="ingress"} 1',
                     'envoy_cluster_upstream_rq_total{envoy_cluster_name="dfp"} 1',
                     'envoy_cluster_upstream_rq{envoy_response_code="200",envoy_cluster_name="dfp"} 1',
                     "envoy_dns_cache_cache_num_hosts{} 1",
                     "# TYPE envoy_cluster_upstream_rq_total counter",
                     "# TYPE envoy_dns_cache_cache_num_hosts gauge",
                     "# TYPE envoy_cluster_upstream_rq_time histogram"):
            name, _, labels = line.partition("{")
            if labels and "," in labels:
                # The order of labels has no meaning.
                found = [set(one.split("{")[1].split("}")[0].split(",")) for one in text.splitlines()
                         if one.startswith(name + "{")]
                self.assertIn(set(labels.split("}")[0].split(",")), found, line)
            else:
                self.assertIn(line.replace("{}", ""), text.replace("{}", ""))
        self.assertRegex(text, r'envoy_cluster_upstream_rq_time_bucket\{envoy_cluster_name="dfp",le="0.5"\} \d+')
        seen = set()
        for line in text.splitlines():
            if line.startswith("# TYPE"):
                self.assertNotIn(line, seen, "one TYPE line a name")
                seen.add(line)

    @unittest.skipIf(IS_ENVOY, "its name for a listener on port 0 has the 0")
    def test_requests_by_listener(self):
        self.assertEqual(404, self.proxy.admin("/nothing").status)
        # What was never answered is not completed.
        silent = self.raw_origin(lambda wire: wire.rest())
        client = self.client()
        client.request("GET", "/", "ok.t:%d" % silent.port)
        self.proxy.wait_stat("cluster.dfp.upstream_rq_active", 1)
        client.reset()
        self.proxy.wait_stat("http.ingress.downstream_rq_rx_reset", 1)
        self.proxy.wait_stat("http.ingress.downstream_rq_total", 2)
        self.proxy.wait_stat("http.ingress.downstream_rq_completed", 1)
        address = "127.0.0.1_%d" % self.proxy.port()
        rows = {"1xx": 0, "2xx": 1, "3xx": 0, "4xx": 0, "5xx": 0, "completed": 1}
        expected = {"listener.%s.http.ingress.downstream_rq_%s" % (address, name): value
                    for name, value in rows.items()}
        self.assertEqual(expected, self.proxy.stats("^listener.%s.http" % address))
        self.proxy.wait_stat("listener.admin.http.admin.downstream_rq_4xx", 1)
        line = next(line for line in self.proxy.admin("/stats/prometheus").text.splitlines()
                    if line.startswith("envoy_listener_http_downstream_rq_xx{")
                    and 'code_class="2"' in line)
        for label in ('envoy_http_conn_manager_prefix="ingress"', 'envoy_listener_address="%s"' % address):
            self.assertIn(label, line)
        self.assertTrue(line.endswith(" 1"))

    def test_watchdogs(self):
        scopes = ["main_thread", "workers", "server.main_thread", "server.worker_0", "server.worker_1"]
        expected = {"%s.watchdog_%s" % (scope, kind) for scope in scopes for kind in ("miss", "mega_miss")}
        self.assertEqual(expected, set(self.proxy.stats("watchdog")))
        self.assertRegex(self.proxy.admin("/stats/prometheus").text,
                         r'envoy_server_worker_watchdog_miss\{[^}]*envoy_worker_id="1"')

    def test_connections_by_worker(self):
        stats = self.proxy.stats("^listener.*worker_")
        totals = [value for name, value in stats.items() if name.endswith("downstream_cx_total")]
        self.assertEqual((2, 1), (len(totals), sum(totals)))
        self.assertLess(0, self.proxy.stat("listener.admin.main_thread.downstream_cx_total"))
        self.assertLess(0, self.proxy.stat("http.admin.downstream_cx_total"))
        page = self.proxy.admin("/stats/prometheus").text
        self.assertRegex(page, r'envoy_listener_worker_downstream_cx_total\{[^}]*envoy_worker_id="1"')
        # Sums over listeners count each connection once, and none of the admin's.
        self.assertEqual(1, len(re.findall(r"(?m)^envoy_listener_downstream_cx_total\b", page)))
        self.assertRegex(page, r"(?m)^envoy_listener_admin_downstream_cx_total(\{\})? [1-9]")
        self.assertRegex(page, r"(?m)^envoy_listener_admin_main_thread_downstream_cx_total(\{\})? [1-9]")

    def test_promtool(self):
        """Prometheus's own checker has nothing to say but that Envoy's names are not what it would have chosen."""
        names = ('counter metrics should have "_total" suffix', 'non-counter metrics should not have "_total" suffix',
                 "metric names should not contain abbreviated units", 'use base unit "seconds" instead of "days"')
        for query in ("", "?text_readouts", "?histogram_buckets=summary"):
            page = self.proxy.admin("/stats/prometheus" + query).text
            checked = subprocess.run(["promtool", "check", "metrics"], input=page.encode(), timeout=30, check=False,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            lines = checked.stdout.decode().splitlines()
            self.assertTrue(lines or checked.returncode == 0)
            self.assertEqual([], [line for line in lines if not line.endswith(names)], query)

    def test_histogram_forms(self):
        name = "cluster.dfp.upstream_rq_time"
        ask = "/stats?filter=^%s$&histogram_buckets=" % name
        # The request counts when its answer has been written, which is not before the client has it.
        wait_for(lambda: ": No" not in self.proxy.admin(ask).text, 5, "a value")
        self.assertRegex(self.proxy.admin(ask + "detailed").text,
                         r"^%s:\n  totals=\d+,\d+:1\n  intervals=.*\n  summary=P0\(.*\n$" % name)
        self.assertRegex(self.proxy.admin(ask + "disjoint").text, r"^%s: B0.5\(\d+,\d+\) B1\(" % name)
        detailed = self.proxy.admin(ask + "detailed&format=json").json()["stats"][0]["histograms"]["details"][0]
        self.assertEqual((name, 1), (detailed["name"], detailed["totals"][0]["count"]))
        self.assertEqual(400, self.proxy.admin(ask + "x").status)
        self.assertIn("# TYPE envoy_cluster_upstream_rq_time summary",
                      self.proxy.admin("/stats/prometheus?histogram_buckets=none").text)

    def test_invert_filter(self):
        self.assertEqual({"server.live"}, {name for name in self.proxy.stats("server.live")})
        self.assertNotIn("server.live", self.proxy.stats("server.live&invert_filter"))
        self.assertIn("server.uptime", self.proxy.stats("server.live&invert_filter"))

    def test_clusters(self):
        text = self.proxy.admin("/clusters").text
        prefix = "dfp::127.0.0.1:%d::" % self.upstream.port
        for line in ("dfp::default_priority::max_connections::40000", "dfp::added_via_api::false",
                     prefix + "hostname::" + self.authority, prefix + "rq_total::1", prefix + "rq_success::1",
                     prefix + "cx_active::1", prefix + "health_flags::healthy", prefix + "weight::1"):
            self.assertIn(line + "\n", text)
        self.assertEqual("", self.proxy.admin("/clusters?filter=nothing").text)
        self.assertEqual(text.count("dfp::"), self.proxy.admin("/clusters?filter=^d.p$").text.count("dfp::"))
        self.assertEqual(400, self.proxy.admin("/clusters?filter=(").status)
        status = self.proxy.admin("/clusters?format=json").json()["cluster_statuses"]
        hosts = [one for one in status if one["name"] == "dfp"][0]["host_statuses"]
        self.assertEqual(self.authority, hosts[0]["hostname"])
        self.assertEqual({"address": "127.0.0.1", "port_value": self.upstream.port},
                         hosts[0]["address"]["socket_address"])

    def test_listeners(self):
        self.assertEqual("main::127.0.0.1:%d\n" % self.proxy.port(), self.proxy.admin("/listeners").text)
        status = self.proxy.admin("/listeners?format=json").json()["listener_statuses"][0]
        self.assertEqual(("main", self.proxy.port()),
                         (status["name"], status["local_address"]["socket_address"]["port_value"]))

    def test_config_dump(self):
        configs = self.proxy.admin("/config_dump").json()["configs"]
        types = [one["@type"].rsplit(".", 1)[1] for one in configs]
        self.assertEqual("BootstrapConfigDump", types[0])
        self.assertEqual("ClustersConfigDump", types[1])
        for name in ("ListenersConfigDump", "RoutesConfigDump"):
            self.assertIn(name, types)
        cluster = configs[1]["static_clusters"][0]["cluster"]
        self.assertEqual("dfp", cluster["name"])
        threshold = cluster["circuit_breakers"]["thresholds"][0]
        self.assertEqual([40000] * 4 + [True],
                         [threshold[name] for name in ("max_connections", "max_pending_requests",
                                                       "max_requests", "max_retries", "track_remaining")])
        cluster_type = configs[0]["bootstrap"]["static_resources"]["clusters"][0]["cluster_type"]
        self.assertEqual("cache", cluster_type["typed_config"]["dns_cache_config"]["name"])

    def test_config_dump_parts(self):
        dump = self.proxy.admin("/config_dump?include_eds").json()["configs"]
        endpoints = [one for one in dump if one["@type"].endswith("EndpointsConfigDump")][0]
        hosts = endpoints["static_endpoint_configs"][0]["endpoint_config"]["endpoints"][0]["lb_endpoints"]
        self.assertEqual(self.authority, hosts[0]["endpoint"]["hostname"])
        answer = self.proxy.admin("/config_dump?resource=static_clusters")
        self.assertEqual("dfp", answer.json()["configs"][0]["cluster"]["name"])
        answer = self.proxy.admin("/config_dump?resource=nope")
        self.assertEqual((404, "nope not found in config dump"), (answer.status, answer.text.strip()))
        answer = self.proxy.admin("/config_dump?resource=bootstrap")
        self.assertEqual((400, "bootstrap is not a repeated field. Use ?mask=bootstrap to get only this field"),
                         (answer.status, answer.text.strip()))

    def test_logging(self):
        answer = self.proxy.admin("/logging?level=debug", "POST")
        self.assertEqual(200, answer.status)
        self.assertRegex(answer.text, r"(?m)^ +http: debug$")
        self.assertIn(": info", self.proxy.admin("/logging?level=info", "POST").text)
        self.assertRegex(self.proxy.admin("/logging?paths=hc:debug,conn_handler:trace,wasm:off", "POST").text,
                         r"(?ms)^ +conn_handler: trace$.*^ +hc: debug$.*^ +wasm: off$")
        for query, error in (("level=nonsense", "unknown logger level"), ("nobody=info", "unknown logger name"),
                             ("paths=http", "empty logger name or empty logger level"),
                             ("paths=http:info,nobody:info", "unknown logger name"),
                             ("http=info&main=info", "invalid number of parameters")):
            answer = self.proxy.admin("/logging?" + query, "POST")
            self.assertEqual((400, "error: " + error), (answer.status, answer.text.splitlines()[0]))

    def test_regression_every_component_of_envoy_is_known(self):
        names = ("a2a", "assert", "backtrace", "client", "conn_handler", "ext_authz", "grpc", "happy_eyeballs", "hc", "health_checker",
                 "http2", "init", "io", "jwt", "lua", "matcher", "quic", "rbac", "redis", "tracing", "udp", "wasm", "ip_tagging")
        proxy = self.start(config.bootstrap([]), arguments=["--component-log-level", ",".join(name + ":error" for name in names)])
        text = proxy.admin("/logging", "POST").text
        self.assertEqual([], [name for name in names if "  %s: error\n" % name not in text])

    def test_posts_only(self):
        for path in ("/quitquitquit", "/logging", "/reset_counters", "/healthcheck/fail", "/healthcheck/ok"):
            with self.subTest(path=path):
                answer = self.proxy.admin(path)
                if not IS_ENVOY and answer.status == 404 and path not in ("/quitquitquit", "/logging"):
                    continue
                self.assertEqual(405, answer.status)
                self.assertEqual("Method GET not allowed, POST required.", answer.text.strip())
        self.assertEqual(200, self.ask("GET", "/", self.authority).status)

    def test_reset_counters(self):
        """What has been counted is shown on, as zero."""
        wait_for(lambda: self.proxy.stats().get("http.ingress.downstream_rq_2xx") == 1)
        self.assertEqual("OK\n", self.proxy.admin("/reset_counters", "POST").text)
        self.assertEqual({"http.ingress.downstream_rq_2xx": 0}, self.proxy.stats("^http.ingress.downstream_rq_.xx&usedonly"))
        self.assertRegex(self.proxy.admin("/stats/prometheus?usedonly").text, r"(?m)^envoy_http_downstream_rq_xx\{.*\} 0$")
        self.assertEqual(200, self.ask("GET", "/", self.authority).status)
        self.proxy.wait_stat("http.ingress.downstream_rq_2xx", 1)

    def test_posts_on_reads(self):
        self.assertEqual(200, self.proxy.admin("/stats", "POST").status)
        self.assertEqual(200, self.proxy.admin("/clusters", "HEAD").status)

    def test_quit(self):
        answer = self.proxy.admin("/quitquitquit", "POST")
        self.assertEqual((200, "OK\n"), (answer.status, answer.text))
        self.assertEqual(0, self.proxy.wait_exit())


class AllowPaths(ProxyTest):
    """An admin that answers only some paths."""

    def test_the_rest_is_refused(self):
        content = config.bootstrap(config.listener(config.http([config.direct(200, "in")])))
        # What this fixture asks for itself is among them.
        content["admin"].update(profile_path="/nowhere/x", ignore_global_conn_limit=True, allow_paths=[
            {"exact": "/ready"}, {"prefix": "/stats"}, {"safe_regex": {"regex": "/listeners(\\?format=(text|json))?"}},
            {"exact": "/HELP", "ignore_case": True}])
        self.start(content)
        for path in ("/stats?filter=x", "/listeners?format=json", "/help"):
            self.assertEqual(200, self.proxy.admin(path).status, path)
        for path in ("/", "/clusters", "/ready?x", "/listeners?format=html", "/clusters?x=/stats", "/nothing"):
            answer = self.proxy.admin(path)
            self.assertEqual((403, "request to path %s not allowed" % path), (answer.status, answer.text.strip()))
        self.assertEqual(403, self.proxy.admin("/quitquitquit", "POST").status)
        self.assertEqual(200, self.ask("GET", "/", "h").status)


class Health(ProxyTest):
    def test_who_was_told_to_fail_is_not_live(self):
        self.start(config.bootstrap(config.listener(config.http([config.direct(200, "in")])), stats_flush_interval="0.1s"))
        for path, live, state in (("fail", 0, 1), ("ok", 1, 0)):
            self.assertEqual(200, self.proxy.admin("/healthcheck/" + path, "POST").status)
            self.proxy.wait_stat("server.live", live)
            self.proxy.wait_stat("server.state", state)


class DrainListeners(ProxyTest):
    """POST /drain_listeners."""

    def setUp(self):
        super().setUp()
        upstream = self.origin()
        manager = config.http([config.forward("up")])
        self.start(config.bootstrap(
            [config.listener(manager), config.listener(manager, name="in", traffic_direction="INBOUND")],
            [config.cluster("up", upstream.port)]), arguments=["--drain-time-s", "1", "--drain-strategy", "immediate"])

    def drain(self, query=""):
        self.assertEqual("OK\n", self.proxy.admin("/drain_listeners" + query, "POST").text)

    def accepts(self, name="main"):
        try:
            with Client(self.proxy.port(name)) as client:
                return client.ask("GET", "/", "h")
        except OSError:
            return None

    def test_at_once(self):
        self.drain()
        wait_for(lambda: self.accepts() is None, 5, "the listener to close")
        self.proxy.wait_stat("listener_manager.listener_stopped", 2)
        self.assertEqual("LIVE\n", self.proxy.admin("/ready").text)

    def test_graceful(self):
        # The second time changes nothing, and stops nothing twice.
        self.drain("?graceful")
        self.drain("?graceful")
        answer = self.accepts()
        self.assertEqual((200, "close"), (answer.status, answer.header("connection")))
        wait_for(lambda: self.accepts() is None, 5, "the listener to close")
        self.drain("?graceful")
        self.proxy.wait_stat("listener_manager.listener_stopped", 2)

    def test_inbound_only(self):
        self.drain("?inboundonly")
        wait_for(lambda: self.accepts("in") is None, 5, "the listener to close")
        self.assertIsNone(self.accepts().header("connection"))

    def test_skip_exit(self):
        self.drain("?graceful&skip_exit")
        self.assertEqual("close", self.accepts().header("connection"))
        self.assertEqual(0, self.proxy.stat("listener_manager.listener_stopped"))


class StatsConfig(ProxyTest):
    """What stats_config makes of names."""

    def test_tags_matcher_and_buckets(self):
        upstream = self.origin()
        bootstrap = config.bootstrap(config.listener(config.http([config.forward("shop_eu")])),
                                     [config.cluster("shop_eu", upstream.port)])
        bootstrap["stats_config"] = {
            "stats_tags": [{"tag_name": "site", "fixed_value": "lab"},
                           {"tag_name": "region", "regex": r"^cluster\.\w+_(\w\w)\."}],
            "stats_matcher": {"exclusion_list": {"patterns": [{"prefix": "cluster_manager."}]}},
            "histogram_bucket_settings": [{"match": {"suffix": "upstream_rq_time"}, "buckets": [10, 100000]}]}
        bootstrap["stats_flush_on_admin"] = True
        self.start(bootstrap)
        self.assertEqual(200, self.ask("GET", "/", "h").status)
        self.assertEqual({}, self.proxy.stats("^cluster_manager"))
        text = self.proxy.admin("/stats/prometheus").text
        series = [line for line in text.splitlines() if line.startswith("envoy_cluster_upstream_rq_total{")]
        self.assertEqual(1, len(series))
        for label in ('envoy_cluster_name="shop_eu"', 'region="eu"', 'site="lab"'):
            self.assertIn(label, series[0])
        self.assertRegex(text, r'envoy_cluster_upstream_rq_time_bucket\{.*le="100000"\} 1')
        # The interval ends when somebody looks: the request is in the first, in no second.
        time = "/stats?filter=upstream_rq_time$&histogram_buckets=cumulative"
        self.assertRegex(self.proxy.admin(time).text, r"B100000\(0,1\)$")

    def test_bad_tags_are_refused(self):
        upstream = self.origin()
        bootstrap = config.bootstrap(config.listener(config.http([config.forward("c")])),
                                     [config.cluster("c", upstream.port)])
        bootstrap["stats_config"] = {"stats_tags": [{"tag_name": "a", "regex": "no group"}]}
        with self.assertRaisesRegex(AssertionError, r"stats_config.stats_tags\[0\].regex"):
            self.start(bootstrap)


if __name__ == "__main__":
    unittest.main()
