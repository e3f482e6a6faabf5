"""Values that change while the process runs: layered_runtime."""
import os
import unittest

from test.support import config
from test.support.proxy import ProxyTest
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
        self.assertEqual(1, self.proxy.stat("runtime.admin_overrides_active"))
        self.assertEqual(200, self.ask("GET", "/logged", "h").status)
        lines = self.proxy.lines(self.log_path, 1)
        self.assertIn("/logged", lines[0])
        self.modify("log.from=")
        self.assertEqual("500", self.entries()["log.from"]["final_value"])
        self.assertEqual(0, self.proxy.stat("runtime.admin_overrides_active"))
        self.assertEqual(405, self.proxy.admin("/runtime_modify?a=b").status)
        self.assertEqual(400, self.modify("").status)

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
