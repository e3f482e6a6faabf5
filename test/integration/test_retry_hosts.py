"""Where retries go: host predicates and priorities."""
import unittest

from test.support import config
from test.support.origin import closed_port
from test.support.proxy import IS_ENVOY, ProxyTest

HOST = "envoy.extensions.retry.host."


def predicate(name, message, **fields):
    return config.typed("envoy.retry_host_predicates." + name, HOST + name + ".v3." + message, **fields)


class RetryHosts(ProxyTest):
    def gateway(self, *endpoints, lb_policy="ROUND_ROBIN", retries=1, **policy):
        """A gateway to endpoints of (port, metadata below envoy.lb, priority)."""
        cluster = config.cluster("c", lb_policy=lb_policy)
        cluster["load_assignment"] = {"cluster_name": "c", "endpoints": [
            {"priority": priority, "lb_endpoints": [
                {"endpoint": {"address": config.socket_address(port=port)},
                 "metadata": {"filter_metadata": {"envoy.lb": metadata}}}
                for port, metadata, at in endpoints if at == priority]}
            for priority in sorted({at for _, _, at in endpoints})]}
        action = {"retry_policy": {"retry_on": "connect-failure,5xx", "num_retries": retries,
                                   "retry_back_off": {"base_interval": "0.001s"},
                                   "host_selection_retry_max_attempts": 100, **policy}}
        manager = config.http([config.forward("c", action=action)], log=self.log_path)
        return self.start(config.bootstrap(config.listener(manager), [cluster]), concurrency=1)

    def closed(self):
        port, holder = closed_port()
        self.addCleanup(holder.close)
        return port

    def failing(self):
        return self.origin(lambda _: b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n")

    def statuses(self, count=20):
        return {self.ask("GET", "/", "h").status for _ in range(count)}

    def test_no_canaries(self):
        origin, canary = self.origin(), self.failing()
        self.gateway((self.closed(), {}, 0), (canary.port, {"canary": True}, 0), (origin.port, {"canary": False}, 0),
                     retries=20, lb_policy="RANDOM",
                     retry_host_predicate=[predicate("omit_canary_hosts", "OmitCanaryHostsPredicate")])
        # Every retry goes where there is an answer, or to the closed port once more.
        self.assertEqual({200}, self.statuses())
        # A first attempt goes to canaries as ever.
        self.assertGreater(len(canary.requests), 0)
        self.assertLess(len(canary.requests), 21)
        self.assertIn("c::127.0.0.1:%d::canary::true\n" % canary.port, self.proxy.admin("/clusters").text)
        self.assertIn("c::127.0.0.1:%d::canary::false\n" % origin.port, self.proxy.admin("/clusters").text)

    def test_not_those_of_that_metadata(self):
        origin, other = self.origin(), self.failing()
        self.gateway((other.port, {"stage": ["dev", "test"], "zone": 1}, 0), (origin.port, {"stage": "prod", "zone": 1}, 0),
                     retry_host_predicate=[predicate("omit_host_metadata", "OmitHostMetadataConfig", metadata_match={
                         "filter_metadata": {"envoy.lb": {"stage": "dev", "zone": 1}}})])
        self.assertEqual({200}, self.statuses())
        self.assertIn(len(other.requests), range(1, 21))

    def test_metadata_must_match_in_full(self):
        origin = self.failing()
        self.gateway((origin.port, {"stage": "dev", "zone": 2}, 0),
                     retry_host_predicate=[predicate("omit_host_metadata", "OmitHostMetadataConfig", metadata_match={
                         "filter_metadata": {"envoy.lb": {"stage": "dev", "zone": 1}}})])
        self.assertEqual(500, self.ask("GET", "/", "h").status)
        self.assertEqual(2, len(origin.requests))

    def priorities(self, frequency):
        return {"name": "envoy.retry_priorities.previous_priorities", "typed_config": config.typed(
            "", "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
            update_frequency=frequency)["typed_config"]}

    def test_the_next_priority(self):
        first, second = self.failing(), self.failing()
        self.gateway((first.port, {}, 0), (second.port, {}, 1), retries=3, retry_priority=self.priorities(1))
        self.assertEqual(500, self.ask("GET", "/", "h").status)
        # 0, 1, and when both were tried: from the beginning.
        self.assertEqual((2, 2), (len(first.requests), len(second.requests)))

    def test_after_two_attempts(self):
        first, second = self.failing(), self.failing()
        self.gateway((first.port, {}, 0), (second.port, {}, 1), retries=2, retry_priority=self.priorities(2))
        self.assertEqual(500, self.ask("GET", "/", "h").status)
        self.assertEqual((2, 1), (len(first.requests), len(second.requests)))

    @unittest.skipIf(IS_ENVOY, "says it in other words")
    def test_unknown_ones(self):
        for field, value in (("retry_priority", {"name": "x"}), ("retry_host_predicate", [{"name": "x"}])):
            with self.assertRaises(AssertionError) as caught:
                self.gateway((1, {}, 0), **{field: value})
            self.assertIn("retry_policy." + field, str(caught.exception))


if __name__ == "__main__":
    unittest.main()
