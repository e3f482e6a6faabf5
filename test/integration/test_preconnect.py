"""Connections ahead of need (preconnect_policy of a cluster), and those of one client only."""
import select
import threading
import unittest

from test.support import config
from test.support.origin import closed_port, ok
from test.support.proxy import IS_ENVOY, ProxyTest
from test.support.wait import wait_for


class Preconnect(ProxyTest):
    def gateway(self, *ports, policy, concurrency=1, **fields):
        cluster = config.cluster("origin", *ports, preconnect_policy=policy, **fields)
        manager = config.http([config.forward("origin")], log=self.log_path)
        return self.start(config.bootstrap(config.listener(manager), [cluster]), concurrency=concurrency)

    def waiting_origin(self):
        """An origin that answers when the test says so."""
        self.go = threading.Event()
        self.addCleanup(self.go.set)
        return self.origin(lambda _: self.go.wait(10) and ok())

    def stat(self, name):
        return self.proxy.stat("cluster.origin." + name)

    def settle(self, connections):
        """Waits until so many connections stand, and looks that they are all that were begun."""
        self.proxy.wait_stat("cluster.origin.upstream_cx_active", connections)
        self.assertEqual(connections, self.stat("upstream_cx_total"))

    def test_for_each_request_of_a_host(self):
        origin = self.waiting_origin()
        self.gateway(origin.port, policy={"per_upstream_preconnect_ratio": 1.5})
        with self.client() as first, self.client() as second:
            first.request("GET", "/", "h")
            wait_for(lambda: origin.connections == 2)
            self.settle(2)
            # It finds a connection, and has the next one made: 2 * 1.5 > 2.
            second.request("GET", "/", "h")
            wait_for(lambda: origin.connections == 3)
            wait_for(lambda: len(origin.requests) == 2)
            self.settle(3)
            self.go.set()
            self.assertEqual((200, 200), (first.response().status, second.response().status))
        self.assertEqual(200, self.ask("GET", "/", "h").status)
        self.settle(3)
        self.assertEqual(3, self.stat("upstream_rq_total"))

    def test_three_at_once_at_most(self):
        origin = self.origin()
        self.gateway(origin.port, policy={"per_upstream_preconnect_ratio": 3})
        self.assertEqual(200, self.ask("GET", "/", "h").status)
        wait_for(lambda: origin.connections == 3)
        self.assertEqual(200, self.ask("GET", "/", "h").status)
        self.settle(3)

    def test_to_the_hosts_that_come_next(self):
        origins = [self.origin() for _ in range(4)]
        self.gateway(*(origin.port for origin in origins), policy={"predictive_preconnect_ratio": 2})
        self.assertEqual(200, self.ask("GET", "/", "h").status)
        # Two ahead, and the request's own.
        self.settle(3)
        wait_for(lambda: sum(origin.connections for origin in origins) == 3)
        self.assertEqual(1, max(origin.connections for origin in origins))
        for _ in range(3):
            self.assertEqual(200, self.ask("GET", "/", "h").status)
        self.assertEqual([1, 1, 1, 1], [len(origin.requests) for origin in origins])

    def test_breaker(self):
        origin = self.waiting_origin()
        self.gateway(origin.port, policy={"per_upstream_preconnect_ratio": 3},
                     **config.breakers(max_connections=2))
        with self.client() as client:
            client.request("GET", "/", "h")
            wait_for(lambda: origin.requests)
            self.settle(2)
            self.assertEqual(1, self.stat("upstream_cx_overflow"))
            self.go.set()
            self.assertEqual(200, client.response().status)

    def test_nobody_answers(self):
        port, holder = closed_port()
        self.addCleanup(holder.close)
        self.gateway(port, policy={"per_upstream_preconnect_ratio": 3})
        for _ in range(3):
            self.assertEqual(503, self.ask("GET", "/", "h").status)
        wait_for(lambda: self.stat("upstream_cx_active") == 0)
        total = self.stat("upstream_cx_total")
        self.assertLessEqual(total, 9)
        self.assertEqual(total, self.stat("upstream_cx_connect_fail"))
        self.assertEqual(3, self.stat("upstream_rq_pending_failure_eject"))
        self.proxy.check_idle()
        self.assertEqual(total, self.stat("upstream_cx_total"))

    def test_closed_before_it_was_used(self):
        answered = threading.Event()

        def serve(wire):
            """Answers on a connection that is used; closes the others after the first answer."""
            while not select.select([wire.socket], [], [], 0.01)[0]:
                if answered.is_set():
                    return
            while wire.head():
                wire.send(ok())
                answered.set()
        origin = self.raw_origin(serve)
        self.gateway(origin.port, policy={"per_upstream_preconnect_ratio": 2})
        self.assertEqual(200, self.ask("GET", "/", "h").status)
        self.proxy.wait_stat("cluster.origin.upstream_cx_destroy", 1)
        self.assertEqual(1, self.stat("upstream_cx_active"))
        self.assertEqual(200, self.ask("GET", "/", "h").status)
        self.assertEqual((2, 0), (self.stat("upstream_rq_total"), self.stat("upstream_cx_connect_fail")))

    def test_tunnel(self):
        origin = self.raw_origin(lambda wire: wire.send(wire.rest()))
        cluster = config.cluster("origin", origin.port, preconnect_policy={"per_upstream_preconnect_ratio": 2})
        self.start(config.bootstrap(config.listener(config.tcp("origin")), [cluster]), concurrency=1)
        with self.client() as first:
            first.send(b"one")
            wait_for(lambda: origin.connections == 2)
            with self.client() as second:
                # It takes the one that stands; of three, as 2 * 2 > 2, the others wait.
                second.send(b"two")
                wait_for(lambda: origin.connections == 4)
                second.finish()
                self.assertEqual(b"two", second.rest())
            first.finish()
            self.assertEqual(b"one", first.rest())

    def test_out_of_bounds(self):
        with self.assertRaises(AssertionError) as caught:
            self.gateway(1, policy={"per_upstream_preconnect_ratio": 3.5})
        if not IS_ENVOY:
            self.assertIn("clusters[0].preconnect_policy.per_upstream_preconnect_ratio", str(caught.exception))


class PoolPerDownstream(ProxyTest):
    """connection_pool_per_downstream_connection"""

    def gateway(self, *ports, **fields):
        cluster = config.cluster("origin", *ports, connection_pool_per_downstream_connection=True, **fields)
        manager = config.http([config.forward("origin")], log=self.log_path)
        return self.start(config.bootstrap(config.listener(manager), [cluster]), concurrency=1)

    def test_nobody_else_uses_it(self):
        origin = self.origin()
        self.gateway(origin.port)
        with self.client() as first, self.client() as second:
            for client in (first, second, first, second):
                self.assertEqual(200, client.ask("GET", "/", "h").status)
        self.assertEqual(2, origin.connections)
        owners = [id(request.connection) for request in origin.requests]
        self.assertEqual(owners[:2], owners[2:])

    def test_at_the_limit(self):
        origin = self.origin()
        self.gateway(origin.port, **config.breakers(max_connections=1))
        with self.client() as first, self.client() as second:
            for client in (first, second, first):
                self.assertEqual(200, client.ask("GET", "/", "h").status)
        if not IS_ENVOY:
            # What nobody else may use makes room; Envoy goes beyond the limit.
            self.assertEqual(3, origin.connections)

    @unittest.skipIf(IS_ENVOY, "ours")
    def test_not_with_preconnecting(self):
        with self.assertRaises(AssertionError) as caught:
            self.gateway(1, preconnect_policy={"per_upstream_preconnect_ratio": 2})
        self.assertIn("clusters[0].preconnect_policy: does not go with", str(caught.exception))


if __name__ == "__main__":
    unittest.main()
