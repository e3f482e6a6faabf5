"""Values that change while the process runs: layered_runtime."""
import os
import unittest

from test.support import config
from test.support.origin import closed_port
from test.support.proxy import IS_ENVOY, ProxyTest
from test.support.wait import wait_for


class Runtime(ProxyTest):
    """A log of answers whose status is at least what the runtime says: static, then disk, then admin."""

    def setUp(self):
        super().setUp()
        self.upstream = self.origin()
        self.disk = os.path.join(self.files, "runtime")
        self.write("v1", {})
        self.point_to("v1")
        bootstrap = config.bootstrap(config.listener(config.http([config.forward("up")], log=self.log_path)),
                                     [config.cluster("up", self.upstream.port)])
        manager = bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
        manager["access_log"][0]["filter"] = {"status_code_filter": {"comparison": {
            "op": "GE", "value": {"default_value": 600, "runtime_key": "log.from"}}}}
        bootstrap["layered_runtime"] = {"layers": [
            {"name": "base", "static_layer": {"log": {"from": 500, "unread": 1}}},
            {"name": "disk", "disk_layer": {"symlink_root": os.path.join(self.disk, "current"),
                                            "subdirectory": "proxy"}},
            {"name": "admin", "admin_layer": {}}]}
        self.start(bootstrap)

    def write(self, version, values):
        for key, value in values.items():
            path = os.path.join(self.disk, version, "proxy", *key.split("."))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(value + "\n")
        os.makedirs(os.path.join(self.disk, version, "proxy"), exist_ok=True)

    def point_to(self, version):
        link = os.path.join(self.disk, "new")
        os.symlink(version, link)
        os.rename(link, os.path.join(self.disk, "current"))

    def entries(self):
        return self.proxy.admin("/runtime").json()["entries"]

    def modify(self, query):
        return self.proxy.admin("/runtime_modify?" + query, "POST")

    def test_layers(self):
        answer = self.proxy.admin("/runtime?format=json").json()
        self.assertEqual(["base", "disk", "admin"], answer["layers"])
        self.assertEqual({"layer_values": ["500", "", ""], "final_value": "500"},
                         answer["entries"]["log.from"])
        stats = self.proxy.stats("^runtime")
        self.assertEqual((2, 3, 0), tuple(stats["runtime." + name] for name in
                                          ("num_keys", "num_layers", "admin_overrides_active")))

    def test_admin_layer(self):
        self.assertEqual(200, self.ask("GET", "/quiet", "h").status)
        # Its log line is decided when its answer has gone: by now.
        self.proxy.wait_stat("http.ingress.downstream_cx_active", 0)
        self.assertEqual("OK\n", self.modify("log.from=200").text)
        self.assertEqual("200", self.entries()["log.from"]["final_value"])
        self.proxy.wait_stat("runtime.admin_overrides_active", 1)
        self.assertEqual(200, self.ask("GET", "/logged", "h").status)
        lines = self.proxy.lines(self.log_path, 1)
        self.assertIn("/logged", lines[0])
        self.modify("log.from=")
        self.assertEqual("500", self.entries()["log.from"]["final_value"])
        self.assertEqual(0, self.proxy.stat("runtime.admin_overrides_active"))
        self.assertEqual(405, self.proxy.admin("/runtime_modify?a=b").status)
        self.assertEqual(400, self.modify("").status)
        # A fraction that cannot be read would be none, and the default would go on.
        self.assertEqual(503, self.modify("log.from=%7Bnumerator%3A%2050").status)
        self.assertEqual("500", self.entries()["log.from"]["final_value"])

    def test_disk_layer(self):
        self.write("v2", {"log.from": "200"})
        self.point_to("v2")
        wait_for(lambda: self.entries()["log.from"]["layer_values"][1] == "200", 5, "the new version")
        self.assertEqual(200, self.ask("GET", "/logged", "h").status)
        self.assertEqual(1, len(self.proxy.lines(self.log_path, 1)))
        # The admin's value stands above, and stays when the disk changes again.
        self.modify("log.from=600")
        self.write("v3", {"log.from": "# two\n201", "log.more": "{numerator: 1}"})
        self.point_to("v3")
        wait_for(lambda: "log.more" in self.entries(), 5, "the third version")
        self.assertEqual(["500", "201", "600"], self.entries()["log.from"]["layer_values"])


class KeysWithoutField(ProxyTest):
    """What the runtime may say about clusters and retries though no field names a key."""

    def begin(self, static, answer=None, hosts=None, action=None, policy=None):
        upstream = self.origin(answer)
        fields = {"load_assignment": {"cluster_name": "up", "endpoints": [{"lb_endpoints": hosts(upstream.port)}],
                                      "policy": policy or {}}} if hosts else {}
        bootstrap = config.bootstrap(
            config.listener(config.http([config.forward("up", action=action)], log=self.log_path)),
            [config.cluster("up", upstream.port, **fields)])
        bootstrap["layered_runtime"] = {"layers": [{"name": "base", "static_layer": static},
                                                   {"name": "admin", "admin_layer": {}}]}
        self.start(bootstrap)
        self.assertNotIn("nothing reads the key", self.proxy.log())

    def modify(self, prefix, **values):
        query = "&".join("%s.%s=%s" % (prefix, key.replace("__", "."), value) for key, value in values.items())
        self.assertEqual(200, self.proxy.admin("/runtime_modify?" + query, "POST").status)

    def get(self):
        return self.ask("GET", "/", "h")

    def counters(self, *names):
        stats = self.proxy.stats("^cluster.up.")
        return tuple(stats["cluster.up." + name] for name in names)

    def test_maintenance_mode(self):
        self.begin({"upstream": {"maintenance_mode": {"up": 100}}})
        answer = self.get()
        self.assertEqual((503, b"maintenance mode", "true"),
                         (answer.status, answer.body, answer.header("x-envoy-overloaded")))
        self.modify("upstream", maintenance_mode__up=0)
        self.assertEqual(200, self.get().status)
        self.modify("upstream", maintenance_mode__up=100)
        self.assertEqual(503, self.get().status)
        self.assertEqual((2, 2, 1), self.counters("upstream_rq_maintenance_mode", "upstream_rq_503", "upstream_rq_total"))
        entry = self.logs(3)[0]
        self.assertEqual(("UO", "maintenance_mode"), (entry["flags"], entry["details"]))

    def test_copies_are_turned_away_too(self):
        upstream, shadow = self.origin(), self.origin()
        route = config.forward("up", action={"request_mirror_policies": [{"cluster": "shadow"}]})
        bootstrap = config.bootstrap(config.listener(config.http([route])),
                                     [config.cluster("up", upstream.port), config.cluster("shadow", shadow.port)])
        bootstrap["layered_runtime"] = {"layers": [{"name": "base", "static_layer": {
            "upstream": {"maintenance_mode": {"shadow": 100}}}}]}
        self.start(bootstrap)
        self.assertEqual(200, self.get().status)
        self.proxy.wait_stat("cluster.shadow.upstream_rq_maintenance_mode", 1)
        self.proxy.wait_stat("cluster.shadow.upstream_rq_503", 1)
        self.assertEqual([], shadow.requests)

    def test_breakers(self):
        self.begin({"circuit_breakers": {"up": {"default": {"max_pending_requests": 0}}}})
        self.assertEqual(503, self.get().status)
        self.assertEqual((1,), self.counters("upstream_rq_pending_overflow"))
        self.modify("circuit_breakers.up.default", max_pending_requests=9, max_requests=0)
        self.assertEqual(503, self.get().status)
        self.assertEqual((1,), self.counters("upstream_rq_active_overflow"))
        self.assertIn("up::default_priority::max_requests::0", self.proxy.admin("/clusters").text)
        self.modify("circuit_breakers.up.default", max_requests=9)
        self.assertEqual(200, self.get().status)

    def test_dropped(self):
        drop = {"drop_overloads": [{"category": "all", "drop_percentage": {"numerator": 999999, "denominator": "MILLION"}}]}

        def hosts(port):
            return [{"endpoint": {"address": config.socket_address(port=port)}}]
        self.begin({"load_balancing_policy": {"drop_overload_limit": 100}}, hosts=hosts, policy=drop)
        answer = self.get()
        self.assertEqual((503, b"drop overload", "true"), (answer.status, answer.body, answer.header("x-envoy-drop-overload")))
        entry = self.logs(1)[0]
        self.assertEqual(("DO", "drop_overload"), (entry["flags"], entry["details"]))
        self.assertEqual((1, 0), self.counters("upstream_rq_503", "upstream_rq_total"))
        if not IS_ENVOY:  # There it is read when the cluster is made.
            self.modify("load_balancing_policy", drop_overload_limit=0)
            self.assertEqual(200, self.get().status)

    def test_retries(self):
        self.begin({"upstream": {"use_retry": 0, "base_retry_backoff_ms": 1}},
                   answer=b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n",
                   action={"retry_policy": {"retry_on": "5xx", "num_retries": 2}})
        self.get()
        self.assertEqual((1,), self.counters("upstream_rq_total"))
        self.modify("upstream", use_retry=100)
        self.get()
        self.assertEqual((4,), self.counters("upstream_rq_total"))
        self.modify("circuit_breakers.up.default", max_retries=0)
        self.get()
        self.modify("circuit_breakers.up.default", max_retries=3, retry_budget__budget_percent=0,
                    retry_budget__min_retry_concurrency=0)
        self.get()
        self.assertEqual((2, 6), self.counters("upstream_rq_retry_overflow", "upstream_rq_total"))
        self.assertEqual(["-", "URX", "UO", "UO"], [entry["flags"] for entry in self.logs(4)])

    def test_panic(self):
        # One of two hosts is ill. Half of them is enough, unless the runtime asks for all.
        closed, holder = closed_port()
        self.addCleanup(holder.close)

        def hosts(port):
            return [{"endpoint": {"address": config.socket_address(port=port)}},
                    {"endpoint": {"address": config.socket_address(port=closed)}, "health_status": "UNHEALTHY"}]
        self.begin({"upstream": {"healthy_panic_threshold": 100}}, hosts=hosts)
        wait_for(lambda: self.get().status == 503, 5, "a request to the host that is ill")
        if not IS_ENVOY:  # There it is read anew only when a host changes.
            self.modify("upstream", healthy_panic_threshold=50)
            wait_for(lambda: [self.get().status for _ in range(8)] == [200] * 8, 5, "no panic")


class LoadedOnce(ProxyTest):
    """Numbers of load balancing are taken from the runtime when the configuration is loaded."""

    def test_bias(self):
        upstream = self.origin()
        bootstrap = config.bootstrap(config.listener(config.http([config.forward("up")])), [config.cluster(
            "up", upstream.port, lb_policy="LEAST_REQUEST",
            least_request_lb_config={"active_request_bias": {"default_value": 1, "runtime_key": "lb.bias"}})])
        bootstrap["layered_runtime"] = {"layers": [{"name": "base", "static_layer": {"lb": {"bias": 0.5, "nothing": 1}}}]}
        self.start(bootstrap)
        self.assertEqual(200, self.ask("GET", "/", "h").status)
        self.assertIn("follows the runtime only when the configuration is loaded", self.proxy.log())
        self.assertIn("nothing reads the key 'lb.nothing'", self.proxy.log())
        self.assertNotIn("nothing reads the key 'lb.bias'", self.proxy.log())


if __name__ == "__main__":
    unittest.main()
