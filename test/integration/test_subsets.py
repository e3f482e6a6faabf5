"""Subsets of a cluster's endpoints: lb_subset_config and metadata_match."""
import unittest

from test.support import config
from test.support.origin import ok
from test.support.proxy import IS_ENVOY, ProxyTest


def lb(**fields):
    return {"filter_metadata": {"envoy.lb": fields}}


class Subsets(ProxyTest):
    def cluster(self, *hosts, name="c", **subsets):
        """A cluster of endpoints with that metadata; each answers with its number."""
        self.origins = [self.origin(ok(b"%d" % i)) for i in range(len(hosts))]
        cluster = config.cluster(name, lb_subset_config=subsets)
        cluster["load_assignment"] = {"cluster_name": name, "endpoints": [{"lb_endpoints": [
            {"endpoint": {"address": config.socket_address(port=origin.port)}, "metadata": lb(**host)}
            for origin, host in zip(self.origins, hosts)]}]}
        return cluster

    def gateway(self, cluster, *routes):
        manager = config.http(routes, log=self.log_path)
        return self.start(config.bootstrap(config.listener(manager), [cluster]), concurrency=1)

    def who(self, target="/", count=6):
        """Those that answer requests for the target."""
        answers = [self.ask("GET", target, "h") for _ in range(count)]
        return sorted({answer.text() if answer.status == 200 else answer.status for answer in answers})

    def stats(self, *names):
        return tuple(self.proxy.stat("cluster.c.lb_subsets_" + name) for name in names)

    def test_metadata_match(self):
        prod = {"metadata_match": lb(stage="prod")}
        self.gateway(
            self.cluster({"stage": "prod", "v": 1}, {"stage": "dev", "v": 1}, {"stage": "prod", "v": 2},
                         subset_selectors=[{"keys": ["stage"]}, {"keys": ["stage", "v"]}]),
            config.forward("c", "/prod/2", action={"metadata_match": lb(stage="prod", v=2)}),
            config.forward("c", "/prod", action=prod),
            config.forward("c", "/none", action={"metadata_match": lb(stage="test")}),
            config.forward("c", "/v", action={"metadata_match": lb(v=1)}),
            {"match": {"prefix": "/weighted"}, "route": {**prod, "weighted_clusters": {"clusters": [
                {"name": "c", "weight": 1, "metadata_match": lb(v=1)}]}}},
            config.forward("c"))
        self.assertEqual(["0", "2"], self.who("/prod"))
        self.assertEqual(["2"], self.who("/prod/2"))
        self.assertEqual(["0"], self.who("/weighted"))
        # In Envoy each thread has its own.
        self.assertEqual((10 if IS_ENVOY else 5, 18, 0), self.stats("active", "selected", "fallback"))
        for target in ("/none", "/v", "/"):
            self.assertEqual([503], self.who(target, 1), target)
        self.assertEqual("UH", self.log(count=21)["flags"])
        self.assertEqual((18, 0), self.stats("selected", "fallback"))

    def test_any_endpoint(self):
        self.gateway(self.cluster({"v": 1}, {"v": 2}, fallback_policy="ANY_ENDPOINT", subset_selectors=[{"keys": ["v"]}]),
                     config.forward("c", "/1", action={"metadata_match": lb(v=1)}),
                     config.forward("c", "/3", action={"metadata_match": lb(v=3)}), config.forward("c"))
        self.assertEqual((["0"], ["0", "1"], ["0", "1"]), (self.who("/1"), self.who("/3"), self.who("/")))
        self.assertEqual((6, 12), self.stats("selected", "fallback"))

    def test_default_subset(self):
        self.gateway(self.cluster({"v": 1}, {"v": 2, "x": True}, fallback_policy="DEFAULT_SUBSET", default_subset={"v": 2},
                                  subset_selectors=[{"keys": ["v"]},
                                                    {"keys": ["x"], "fallback_policy": "ANY_ENDPOINT"},
                                                    {"keys": ["x", "v"], "fallback_policy": "KEYS_SUBSET",
                                                     "fallback_keys_subset": ["v"]}]),
                     config.forward("c", "/x", action={"metadata_match": lb(x=False)}),
                     config.forward("c", "/keys", action={"metadata_match": lb(x=False, v=1)}),
                     config.forward("c"))
        self.assertEqual((["1"], ["0", "1"], ["0"]), (self.who("/"), self.who("/x"), self.who("/keys")))
        self.assertEqual((6, 6), self.stats("selected", "fallback"))

    def test_lists(self):
        self.gateway(self.cluster({"v": [1, 2]}, {"v": 2}, list_as_any=True, subset_selectors=[{"keys": ["v"]}]),
                     config.forward("c", "/1", action={"metadata_match": lb(v=1)}),
                     config.forward("c", action={"metadata_match": lb(v=2)}))
        self.assertEqual((["0"], ["0", "1"]), (self.who("/1"), self.who("/")))

    def test_retries_stay_in_the_subset(self):
        cluster = self.cluster({"v": 1}, {"v": 1}, {"v": 2}, subset_selectors=[{"keys": ["v"]}])
        self.origins[0].answer = b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"
        self.gateway(cluster, config.forward("c", action={
            "metadata_match": lb(v=1), "retry_policy": {"retry_on": "5xx", "num_retries": 3, "retry_back_off": {
                "base_interval": "0.001s"}}}))
        self.assertEqual(["1"], self.who())
        self.assertEqual([], self.origins[2].requests)

    def test_tcp_proxy(self):
        cluster = self.cluster({"v": 1}, {"v": 2}, subset_selectors=[{"keys": ["v"]}])
        self.start(config.bootstrap(config.listener(config.tcp("c", metadata_match=lb(v=2))), [cluster]))
        self.assertEqual(["1"], self.who())
        self.proxy.stop()
        self.proxy = None
        proxy = config.tcp("c", metadata_match=lb(v=2))
        proxy["typed_config"].pop("cluster")
        proxy["typed_config"]["weighted_clusters"] = {"clusters": [
            {"name": "c", "weight": 1, "metadata_match": lb(v=1)}]}
        self.start(config.bootstrap(config.listener(proxy), [cluster]))
        self.assertEqual(["0"], self.who())

    @unittest.skipIf(IS_ENVOY, "says it in other words")
    def test_refused(self):
        with self.assertRaises(AssertionError) as caught:
            self.gateway(self.cluster({}, subset_selectors=[{"keys": ["a"]}, {"keys": ["a"]}]), config.forward("c"))
        self.assertIn("clusters[0].lb_subset_config: subset_selectors[1] has the keys of an earlier one",
                      str(caught.exception))
        with self.assertRaises(AssertionError) as caught:
            self.gateway(self.cluster({}, subset_selectors=[{"keys": ["a"]}], panic_mode_any=True), config.forward("c"))
        self.assertIn("clusters[0].lb_subset_config: 'panic_mode_any'", str(caught.exception))


if __name__ == "__main__":
    unittest.main()
