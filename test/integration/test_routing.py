"""What a route does with a request on its way to real sockets: other hosts on retries, mirrors, statistics."""
import threading
import unittest

from test.support import config
from test.support.origin import closed_port, ok
from test.support.proxy import IS_ENVOY, ProxyTest
from test.support.wait import wait_for

PREVIOUS_HOSTS = config.typed("envoy.retry_host_predicates.previous_hosts",
                              "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate")


class Retries(ProxyTest):
    def gateway(self, clusters, **action):
        manager = config.http([config.forward("c", action=action)], log=self.log_path)
        self.start(config.bootstrap(config.listener(manager), clusters))

    def test_a_retry_goes_to_another_host(self):
        origin = self.origin()
        port, holder = closed_port()
        self.addCleanup(holder.close)
        policy = {"retry_on": "connect-failure", "num_retries": 1, "retry_back_off": {"base_interval": "0.001s"},
                  "retry_host_predicate": [PREVIOUS_HOSTS], "host_selection_retry_max_attempts": 100}
        self.gateway([config.cluster("c", port, origin.port, lb_policy="RANDOM")], retry_policy=policy)
        # By chance alone a quarter of the requests would meet the closed port twice.
        self.assertEqual([200] * 30, [self.ask("GET", "/", "h").status for _ in range(30)])
        self.assertGreater(self.proxy.stat("cluster.c.upstream_rq_retry"), 0)
        self.assertEqual(0, self.proxy.stat("cluster.c.upstream_rq_retry_limit_exceeded"))

    def test_an_answer_says_when_to_come_again(self):
        answers = [b"HTTP/1.1 503 Busy\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n", ok()]
        origin = self.origin(lambda request: answers.pop(0))
        policy = {"retry_on": "5xx", "rate_limited_retry_back_off": {"reset_headers": [{"name": "Retry-After"}]}}
        self.gateway([config.cluster("c", origin.port)], retry_policy=policy)
        self.assertEqual(200, self.ask("GET", "/", "h").status)
        self.assertGreaterEqual(self.log()["duration"], 1000)
        self.proxy.wait_stat("cluster.c.upstream_rq_retry_backoff_ratelimited", 1)


class Mirrors(ProxyTest):
    @unittest.skipIf(IS_ENVOY, "Envoy's request waits for its copy")
    def test_a_mirror_that_does_not_read_stops_nobody(self):
        done = threading.Event()
        self.addCleanup(done.set)
        origin = self.origin()
        mirror = self.raw_origin(lambda wire: done.wait(30))
        action = {"request_mirror_policies": [{"cluster": "m"}]}
        manager = config.http([config.forward("c", action=action)], log=self.log_path)
        self.start(config.bootstrap(config.listener(manager),
                                    [config.cluster("c", origin.port), config.cluster("m", mirror.port)]))
        body = b"x" * (16 << 20)
        self.assertEqual(200, self.ask("POST", "/", "h", body=body).status)
        self.assertEqual(len(body), len(origin.requests[0].body))
        self.proxy.wait_stat("cluster.m.upstream_rq_active", 0)

    def test_every_request_has_its_copy(self):
        origin, mirror = self.origin(), self.origin(ok(b"m" * 100000))
        action = {"request_mirror_policies": [{"cluster": "m"}]}
        manager = config.http([config.forward("c", action=action)])
        self.start(config.bootstrap(config.listener(manager),
                                    [config.cluster("c", origin.port), config.cluster("m", mirror.port)],
                                    stats_flush_interval="0.1s"))
        client = self.client()
        for i in range(50):
            body = b"%d" % i * 1000
            self.assertEqual(200, client.ask("POST", "/", "h", body=body).status)
        self.proxy.wait_stat("cluster.m.upstream_rq_200", 50)
        self.assertEqual(sorted(request.body for request in origin.requests),
                         sorted(request.body for request in mirror.requests))
        self.assertEqual({"h-shadow"}, {request.header("host") for request in mirror.requests})
        self.proxy.wait_stat("cluster.m.internal.upstream_rq_200", 50)
        timed = 'envoy_cluster_upstream_rq_time_count{envoy_cluster_name="m"} 50'
        wait_for(lambda: timed in self.proxy.admin("/stats/prometheus").text)


class Hashes(ProxyTest):
    def gateway(self, *policies):
        self.origins = [self.origin(ok(name)) for name in (b"a", b"b", b"c")]
        manager = config.http([config.forward("c", action={"hash_policy": list(policies)})])
        self.start(config.bootstrap(config.listener(manager), [
            config.cluster("c", *[origin.port for origin in self.origins], lb_policy="RING_HASH")]))

    def host(self, headers):
        return self.ask("GET", "/", "h", headers).text()

    def test_a_header_chooses_the_host(self):
        self.gateway({"header": {"header_name": "x-user"}})
        hosts = {user: self.host([("x-user", user)]) for user in map(str, range(40))}
        self.assertEqual({"a", "b", "c"}, set(hosts.values()))
        for user, host in hosts.items():
            self.assertEqual(host, self.host([("x-user", user)]))

    def test_a_cookie_keeps_a_client_at_its_host(self):
        self.gateway({"cookie": {"name": "s", "ttl": "60s", "path": "/"}})
        answer = self.ask("GET", "/", "h")
        given = answer.header("set-cookie")
        self.assertRegex(given, r'^s="[0-9a-f]{1,16}"; Max-Age=60; Path=/; HttpOnly$')
        cookie = given.partition(";")[0]
        for _ in range(20):
            again = self.ask("GET", "/", "h", [("cookie", cookie)])
            self.assertEqual((answer.text(), None), (again.text(), again.header("set-cookie")))


class Figures(ProxyTest):
    def test_virtual_clusters_and_routes(self):
        origin = self.origin()
        host = config.virtual_host([config.forward("c", prefix="/a", stat_prefix="a"), config.forward("c")], name="v",
                                   virtual_clusters=[{"name": "b", "headers": [
                                       {"name": ":path", "string_match": {"prefix": "/b"}}]}])
        manager = config.http(hosts=[host])
        self.start(config.bootstrap(config.listener(manager), [config.cluster("c", origin.port)]))
        for target in ("/a", "/b", "/b", "/c"):
            self.assertEqual(200, self.ask("GET", target, "h").status)
        for name, count in (("vcluster.b.upstream_rq_200", 2), ("vcluster.b.upstream_rq_total", 2),
                            ("vcluster.other.upstream_rq_2xx", 2), ("vcluster.other.upstream_rq_completed", 2),
                            ("route.a.upstream_rq_200", 1)):
            self.assertEqual(count, self.proxy.stat("vhost.v." + name), name)
        self.proxy.wait_stat("vhost.v.vcluster.other.upstream_rq_total", 2)
        labels = 'envoy_vhost_vcluster_upstream_rq_total{envoy_virtual_cluster="b",envoy_virtual_host="v"} 2'
        other = 'envoy_vhost_vcluster_upstream_rq_total{envoy_virtual_host="v",envoy_virtual_cluster="b"} 2'
        text = self.proxy.admin("/stats/prometheus").text
        self.assertTrue(labels in text or other in text)

    def test_attempts_without_a_connection(self):
        """As in Envoy, upstream_rq_total of a virtual cluster has only what an origin was asked."""
        host = config.virtual_host([config.forward("c", action={"retry_policy": {"retry_on": "connect-failure"}}, stat_prefix="a")],
                                   name="v", virtual_clusters=[{"name": "b", "headers": [
                                       {"name": ":path", "string_match": {"prefix": "/b"}}]}])
        port, holder = closed_port()
        self.addCleanup(holder.close)
        self.start(config.bootstrap(config.listener(config.http(hosts=[host])), [config.cluster("c", port)]))
        self.assertEqual(503, self.ask("GET", "/b", "h").status)
        for group in ("vcluster.b", "route.a"):
            self.proxy.wait_stat("vhost.v.%s.upstream_rq_503" % group, 1)
            self.assertEqual((0, 1), tuple(self.proxy.stat("vhost.v.%s.upstream_rq_%s" % (group, name)) for name in ("total", "retry")))
