"""Hosts that fail are left alone: outlier detection and active health checks."""
import threading
import unittest

from test.support import config, names
from test.support.client import Client
from test.support.origin import HttpOrigin, closed_port, ok
from test.support.proxy import IS_ENVOY, ProxyTest
from test.support.wait import wait_for

NO_PANIC = {"healthy_panic_threshold": {"value": 0}}
ERROR = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n"


class Answers:
    """An origin's answer that the test can change; health checks apart from other requests."""

    def __init__(self, name):
        self.name = name.encode()
        self.well = True
        self.answer = None
        self.checks = []

    def __call__(self, request):
        if request.target == "/healthz":
            self.checks.append(request)
            return ok(b"well") if self.well else ERROR
        return self.answer or ok(self.name)


class ManyHosts(ProxyTest):
    """One cluster with several hosts."""

    def origins(self, count):
        answers = [Answers("host%d" % i) for i in range(count)]
        self.ports = []
        for answer in answers:
            origin = HttpOrigin(answer)
            self.addCleanup(origin.close)
            self.ports.append(origin.port)
        return answers

    def gateway(self, ports=None, **fields):
        manager = config.http([config.forward("many")], log=self.log_path)
        return self.start(config.bootstrap(config.listener(manager), [
            config.cluster("many", *(ports or self.ports), **fields)]), concurrency=1)

    def get(self):
        return self.ask("GET", "/", "h")

    def who_answers(self, count=8):
        return sorted({self.get().text() for _ in range(count)})

    def flags(self):
        """The health flags by host, in the order of the configuration."""
        text = self.proxy.admin("/clusters").text
        return [line.rsplit("::", 1)[1] for line in text.splitlines()
                if line.startswith("many::") and "::health_flags::" in line]

    def becomes(self, *flags):
        wait_for(lambda: self.flags() == list(flags), 10, "flags %r, not %r" % (flags, self.flags()))

    def check(self, **fields):
        return [{"timeout": "2s", "interval": "0.05s", "no_traffic_interval": "0.05s", "unhealthy_threshold": 2,
                 "healthy_threshold": 2, "http_health_check": {"path": "/healthz"}, **fields}]


class Health(ManyHosts):
    """Hosts that fail, and hosts that say how they are."""

    def test_ejects_and_returns(self):
        bad, _ = self.origins(2)
        bad.answer = ERROR
        self.gateway(outlier_detection={
            "consecutive_5xx": 2, "max_ejection_percent": 50, "interval": "0.1s", "base_ejection_time": "0.3s"})
        wait_for(lambda: self.get() and "/failed_outlier_check" in self.flags(), 10, "an ejection")
        self.proxy.wait_stat("cluster.many.outlier_detection.ejections_enforced_consecutive_5xx", 1)
        self.proxy.wait_stat("cluster.many.membership_healthy", 1)
        bad.answer = None
        self.becomes("healthy", "healthy")
        self.assertEqual(0, self.proxy.stat("cluster.many.outlier_detection.ejections_active"))
        wait_for(lambda: self.who_answers() == ["host0", "host1"], 10, "both to answer")

    def test_ejected_host_gets_nothing(self):
        bad, _ = self.origins(2)
        bad.answer = ERROR
        self.gateway(outlier_detection={"consecutive_5xx": 1, "max_ejection_percent": 50})
        wait_for(lambda: self.get() and "/failed_outlier_check" in self.flags(), 10, "an ejection")
        # What the main thread shows, the workers know a moment later.
        wait_for(lambda: self.who_answers() == ["host1"], 10, "host1 alone")
        hosts = self.proxy.admin("/clusters?format=json").json()["cluster_statuses"][0]["host_statuses"]
        self.assertTrue(hosts[0]["health_status"]["failed_outlier_check"])
        self.assertNotIn("failed_outlier_check", hosts[1]["health_status"])

    def test_ejects_who_refuses(self):
        self.origins(1)
        port, holder = closed_port()
        with holder:
            self.gateway([port, *self.ports], outlier_detection={
                "split_external_local_origin_errors": True, "consecutive_local_origin_failure": 2,
                "max_ejection_percent": 50})
            wait_for(lambda: self.get() and "/failed_outlier_check" in self.flags(), 10, "an ejection")
        name = "cluster.many.outlier_detection.ejections_enforced_consecutive_local_origin_failure"
        self.proxy.wait_stat(name, 1)

    def test_http_checks(self):
        first, second = self.origins(2)
        self.gateway(health_checks=self.check(), common_lb_config=NO_PANIC)
        self.becomes("healthy", "healthy")
        self.assertEqual(["host0", "host1"], self.who_answers())
        head = first.checks[0]
        self.assertEqual(("GET", "many", "Envoy/HC"),
                         (head.method, head.header("host"), head.header("user-agent")))
        first.well = False
        self.becomes("/failed_active_hc", "healthy")
        wait_for(lambda: self.who_answers() == ["host1"], 10, "host1 alone")
        second.well = False
        self.becomes("/failed_active_hc", "/failed_active_hc")
        wait_for(lambda: self.get().status == 503, 10, "503")
        self.assertEqual("no healthy upstream", self.get().text())
        self.assertEqual(0, self.proxy.stat("cluster.many.health_check.healthy"))
        first.well = True
        self.becomes("healthy", "/failed_active_hc")
        wait_for(lambda: self.who_answers() == ["host0"], 10, "host0 alone")
        self.assertGreater(self.proxy.stat("cluster.many.health_check.success"), 2)
        self.assertGreater(self.proxy.stat("cluster.many.health_check.failure"), 2)

    def test_checks_use_one_connection(self):
        first, = self.origins(1)
        self.gateway(health_checks=self.check())
        wait_for(lambda: len(first.checks) >= 3, 10, "three checks")
        self.assertEqual(1, len({id(check.connection) for check in first.checks[:3]}))

    def test_checks_on_connections_of_their_own(self):
        first, = self.origins(1)
        self.gateway(health_checks=self.check(reuse_connection=False))
        wait_for(lambda: len(first.checks) >= 3, 10, "three checks")
        self.assertEqual(3, len({id(check.connection) for check in first.checks[:3]}))

    def test_expected_statuses_headers_and_body(self):
        first, = self.origins(1)
        self.gateway(health_checks=self.check(http_health_check={
            "path": "/healthz", "host": "check.t", "expected_statuses": [{"start": 200, "end": 300}],
            "request_headers_to_add": [{"header": {"key": "x-check", "value": "1"}}],
            "receive": [{"text": "6c6c"}]}))
        self.becomes("healthy")
        self.assertEqual(("check.t", "1"), (first.checks[0].header("host"), first.checks[0].header("x-check")))
        first.well = False
        self.becomes("/failed_active_hc")

    def test_who_answers_a_check(self):
        """service_name_matcher: another service at the address is as good as none."""
        def origin(name):
            made = HttpOrigin(lambda _: ok(b"well", "x-envoy-upstream-healthchecked-cluster: " + name))
            self.addCleanup(made.close)
            return made.port
        self.gateway([origin("locations-1"), origin("other")], common_lb_config=NO_PANIC, health_checks=self.check(
            http_health_check={"path": "/healthz", "service_name_matcher": {"prefix": "locations"}}))
        self.becomes("healthy", "/failed_active_hc")
        wait_for(lambda: self.proxy.stat("cluster.many.health_check.verify_cluster") > 1)

    def test_unreachable_host_times_out_or_refuses(self):
        self.origins(1)
        silent = self.raw_origin(lambda wire: wire.rest())
        port, holder = closed_port()
        with holder:
            self.gateway([*self.ports, silent.port, port], health_checks=self.check(timeout="0.2s"))
            self.becomes("healthy", "/failed_active_hc/active_hc_timeout", "/failed_active_hc")
            wait_for(lambda: self.proxy.stat("cluster.many.health_check.network_failure") > 1, 10, "two failures")

    def test_tcp_checks(self):
        said = threading.Event()

        def serve(wire):
            while wire.read(4) == b"ping":
                wire.send("+pong" if not said.is_set() else "-what")

        self.origins(1)
        speaker = self.raw_origin(serve)
        self.gateway([speaker.port], health_checks=[{
            "timeout": "0.2s", "interval": "0.05s", "no_traffic_interval": "0.05s", "unhealthy_threshold": 1,
            "healthy_threshold": 1,
            "tcp_health_check": {"send": {"text": "70696e67"}, "receive": [{"text": "706f6e67"}]}}])
        self.becomes("healthy")
        said.set()
        wait_for(lambda: self.flags()[0].startswith("/failed_active_hc"), 10, "a failed check")

    def test_host_says_itself_that_it_is_not_well(self):
        first, second = self.origins(2)
        first.answer = ok(b"bye", "x-envoy-immediate-health-check-fail: true")
        self.gateway(health_checks=self.check(interval="60s", no_traffic_interval="60s"),
                     common_lb_config=NO_PANIC)
        wait_for(lambda: self.get() and
                 self.flags() == ["/failed_active_hc/excluded_via_immediate_hc_fail", "healthy"], 10, "its word")
        wait_for(lambda: self.who_answers() == ["host1"], 10, "host1 alone")


class Clusters(ManyHosts):
    """Connections and endpoints of clusters."""

    def origin_that_notes_peers(self):
        """An origin, and the addresses from which it was asked."""
        peers = []

        def serve(wire):
            peers.append(wire.socket.getpeername()[0])
            wire.head()
            wire.send(ok(b"hello"))

        return self.raw_origin(serve), peers

    def test_source_address(self):
        origin, peers = self.origin_that_notes_peers()
        self.gateway([origin.port], upstream_bind_config={
            "source_address": {"address": "127.0.0.9", "port_value": 0}})
        self.assertEqual("hello", self.get().text())
        self.assertEqual("127.0.0.9", peers[0])

    def test_source_address_of_all_clusters(self):
        """cluster_manager.upstream_bind_config, and a cluster that has its own."""
        origin, peers = self.origin_that_notes_peers()
        own = {"upstream_bind_config": {"source_address": {"address": "127.0.0.9", "port_value": 0}}}
        content = config.bootstrap(
            config.listener(config.http([config.forward("own", "/own"), config.forward("none")])),
            [config.cluster("own", origin.port, **own), config.cluster("none", origin.port)])
        content["cluster_manager"] = {"upstream_bind_config": {"source_address": {"address": "127.0.0.8", "port_value": 0}}}
        self.start(content, concurrency=1)
        for path in ("/own", "/"):
            self.assertEqual(200, self.ask("GET", path, "h").status)
        self.assertEqual(["127.0.0.9", "127.0.0.8"], peers)

    def test_source_address_of_nobody(self):
        self.origins(1)
        self.gateway(upstream_bind_config={"source_address": {"address": "192.0.2.77", "port_value": 0}})
        answer = self.get()
        self.assertEqual((503, "upstream connect error or disconnect/reset before headers. reset reason: local connection failure"),
                         (answer.status, answer.text()))
        self.assertEqual("upstream_reset_before_response_started{local_connection_failure|"
                         "failed_to_bind_to_192.0.2.77:0:_Cannot_assign_requested_address}", self.log()["details"])
        self.assertGreater(self.proxy.stat("cluster.many.bind_errors"), 0)

    def test_source_address_of_the_other_family(self):
        """Nothing leaves from an address that was not configured."""
        self.origins(1)
        self.gateway(upstream_bind_config={"source_address": {"address": "::1", "port_value": 0}})
        self.assertEqual(503, self.get().status)
        self.assertEqual("upstream_reset_before_response_started{local_connection_failure|"
                         "failed_to_bind_to_[::1]:0:_Address_family_not_supported_by_protocol}", self.log()["details"])
        self.assertGreater(self.proxy.stat("cluster.many.bind_errors"), 0)

    def test_additional_addresses(self):
        self.origins(1)
        port, holder = closed_port()
        with holder:
            endpoint = {"address": config.socket_address(port=port),
                        "additional_addresses": [{"address": config.socket_address(port=self.ports[0])}]}
            self.gateway(load_assignment={"cluster_name": "many", "endpoints": [
                {"lb_endpoints": [{"endpoint": endpoint}]}]})
            self.assertEqual("host0", self.get().text())

    def test_connections_per_host(self):
        release = threading.Event()
        self.addCleanup(release.set)
        origin = HttpOrigin(lambda request: release.wait(10) and ok(b"done"))
        self.addCleanup(origin.close)
        self.gateway([origin.port], circuit_breakers={"per_host_thresholds": [{"max_connections": 2}]})
        answers = []
        clients = [threading.Thread(target=lambda: answers.append(self.get().text())) for _ in range(4)]
        for client in clients:
            client.start()
        wait_for(lambda: self.proxy.stat("cluster.many.upstream_cx_overflow") >= 2, 10, "two that wait")
        wait_for(lambda: origin.connections == 2, 10, "two that are served")
        release.set()
        for client in clients:
            client.join(10)
        self.assertEqual(["done"] * 4, answers)

    def test_dns_cluster(self):
        self.origins(1)
        dns = self.names({"origin.t": names.address("127.0.0.1")})
        manager = config.http([config.forward("many")], log=self.log_path)
        cluster = config.cluster("many", *self.ports, address="origin.t")
        del cluster["type"]
        cluster["cluster_type"] = config.typed(
            "envoy.clusters.dns", "envoy.extensions.clusters.dns.v3.DnsCluster", dns_lookup_family="V4_ONLY",
            dns_jitter="0.1s", typed_dns_resolver_config=config.resolver(dns))
        self.start(config.bootstrap(config.listener(manager), [cluster]))
        self.assertEqual("host0", self.get().text())

    @unittest.skipIf(IS_ENVOY, "our own policy")
    def test_slow_host_gets_less(self):
        slow, fast = self.origins(2)

        def late(request):
            threading.Event().wait(0.05)
            return ok(b"slow")

        answers = {"host1": 0, "slow": 0}
        origin = HttpOrigin(late)
        self.addCleanup(origin.close)
        self.gateway([origin.port, self.ports[1]], load_balancing_policy={"policies": [{
            "typed_extension_config": config.typed("sluice.load_balancing.peak_ewma",
                                                   "sluice.load_balancing.v1.PeakEwma")}]})
        for _ in range(40):
            answers[self.get().text()] += 1
        self.assertLessEqual(answers["slow"], 4, answers)
        self.assertEqual([], slow.checks + fast.checks)

    def test_ring_hash_by_header(self):
        for policy in ("RING_HASH", "MAGLEV"):
            with self.subTest(policy):
                self.proxy = None
                self.origins(4)
                manager = config.http([config.forward("many", action={
                    "hash_policy": [{"header": {"header_name": "x-user"}}]})], log=self.log_path)
                self.start(config.bootstrap(config.listener(manager), [
                    config.cluster("many", *self.ports, lb_policy=policy)]))
                with Client(self.proxy.port()) as client:
                    seen = {user: {client.ask("GET", "/", "h", [("x-user", user)]).text() for _ in range(3)}
                            for user in map(str, range(30))}
                self.assertTrue(all(len(hosts) == 1 for hosts in seen.values()), seen)
                self.assertEqual(4, len(set.union(*seen.values())))

    def test_tunnels_end_when_their_host_fails(self):
        for closes in (False, True):
            with self.subTest(closes=closes):
                self.proxy = None
                health, = self.origins(1)
                echo = self.raw_origin(lambda wire: [wire.send(wire.read(1)) for _ in range(100)])
                endpoint = {"address": config.socket_address(port=echo.port),
                            "health_check_config": {"port_value": self.ports[0]}}
                proxy = config.typed("envoy.filters.network.tcp_proxy", config.TCP_PROXY, stat_prefix="t",
                                     cluster="many")
                self.start(config.bootstrap(config.listener(proxy), [config.cluster(
                    "many", health_checks=self.check(), close_connections_on_host_health_failure=closes,
                    load_assignment={"cluster_name": "many", "endpoints": [
                        {"lb_endpoints": [{"endpoint": endpoint}]}]})]))
                with self.client() as client:
                    client.send("x")
                    self.assertEqual(b"x", client.read(1))
                    health.well = False
                    self.becomes("/failed_active_hc")
                    if closes:
                        self.assertEqual(b"", client.rest())
                    else:
                        client.send("y")
                        self.assertEqual(b"y", client.read(1))
