"""Filters as their users meet them: limits across workers, who may do what, logins by real programs."""
import concurrent.futures
import os
import re
import shutil
import subprocess
import time
import unittest

from test.support import config, names
from test.support.client import Client
from test.support.origin import ok
from test.support.proxy import IS_ENVOY, SLOW, ProxyTest

HTTP = "envoy.extensions.filters.http."
ALL = {"default_value": {"numerator": 100}}
# Of the password "secret", with as little work as bcrypt allows.
BCRYPT = "$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"
SHA = "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="


def limit(tokens, **fields):
    return config.typed("envoy.filters.http.local_ratelimit", HTTP + "local_ratelimit.v3.LocalRateLimit", **{
        "stat_prefix": "rl", "filter_enabled": ALL, "filter_enforced": ALL,
        "token_bucket": {"max_tokens": tokens, "tokens_per_fill": 1, "fill_interval": "100000s"}, **fields})


def rbac(**fields):
    return config.typed("envoy.filters.http.rbac", HTTP + "rbac.v3.RBAC", **fields)


class LocalRateLimit(ProxyTest):
    def gateway(self, *filters, routes=None, **keywords):
        manager = config.http(routes or [config.direct(200, "in")], filters=filters, log=self.log_path)
        self.start(config.bootstrap(config.listener(manager)), **keywords)

    def statuses(self, connections, requests):
        """Asks on many connections at once, which spread over the workers."""
        def run(_):
            with Client(self.proxy.port()) as client:
                return [client.ask("GET", "/", "h").status for _ in range(requests)]
        with concurrent.futures.ThreadPoolExecutor(connections) as pool:
            return [status for answers in pool.map(run, range(connections)) for status in answers]

    def test_exact_across_workers(self):
        self.gateway(limit(100), concurrency=4)
        statuses = self.statuses(16, 25)
        self.assertEqual((100, 300), (statuses.count(200), statuses.count(429)))
        stats = self.proxy.stats("rl.http_local_rate_limit")
        self.assertEqual({"enabled": 400, "ok": 100, "rate_limited": 300, "enforced": 300, "shadow_mode": 0},
                         {name.rsplit(".", 1)[1]: value for name, value in stats.items()})

    def test_one_bucket_for_each_value(self):
        self.gateway(limit(1000, descriptors=[{
            "entries": [{"key": "user"}],
            "token_bucket": {"max_tokens": 3, "tokens_per_fill": 1, "fill_interval": "100000s"}}],
            rate_limits=[{"actions": [{"request_headers": {"header_name": "x-user", "descriptor_key": "user"}}]}]))
        for user in "ab":
            statuses = [self.ask("GET", "/", "h", [("x-user", user)]).status for _ in range(5)]
            self.assertEqual([200] * 3 + [429] * 2, statuses)
        self.assertEqual(200, self.ask("GET", "/", "h").status)

    def test_cluster_of_the_node(self):
        bucket = {"max_tokens": 1, "tokens_per_fill": 1, "fill_interval": "60s"}
        manager = config.http([config.direct(200, "in")], filters=[limit(
            1000, enable_x_ratelimit_headers="DRAFT_VERSION_03",
            descriptors=[{"entries": [{"key": "source_cluster", "value": "us"}], "token_bucket": bucket}],
            rate_limits=[{"actions": [{"source_cluster": {}}]}])])
        self.start(config.bootstrap(config.listener(manager), node={"id": "n", "cluster": "us"}))
        answers = [self.ask("GET", "/", "h") for _ in range(2)]
        self.assertEqual([(200, "60"), (429, "60")], [(answer.status, answer.header("x-ratelimit-reset")) for answer in answers])

    def test_each_connection_has_its_own(self):
        self.gateway(limit(2, local_rate_limit_per_downstream_connection=True))
        for _ in range(2):
            client = self.client()
            self.assertEqual([200, 200, 429], [client.ask("GET", "/", "h").status for _ in range(3)])

    def test_refills(self):
        bucket = {"max_tokens": 1, "tokens_per_fill": 1, "fill_interval": "0.2s"}
        self.gateway(limit(1, token_bucket=bucket))
        client = self.client()
        self.assertEqual(200, client.ask("GET", "/", "h").status)
        self.assertEqual(429, client.ask("GET", "/", "h").status)
        deadline = time.monotonic() + 10 * SLOW
        while client.ask("GET", "/", "h").status != 200:
            self.assertLess(time.monotonic(), deadline, "no token came back")

    @unittest.skipIf(IS_ENVOY, "its messages are its own")
    def test_bad_configuration(self):
        with self.assertRaisesRegex(AssertionError, r"token_bucket\.fill_interval: .*must be >= 50ms"):
            self.gateway(limit(1, token_bucket={"max_tokens": 1, "fill_interval": "0.01s"}))


class Rbac(ProxyTest):
    def test_policies_and_their_statistics(self):
        rules = {"action": "DENY", "policies": {"no admin": {
            "permissions": [{"url_path": {"path": {"prefix": "/admin"}}}], "principals": [{"any": True}]}}}
        manager = config.http([config.direct(200, "in")], log=self.log_path, filters=[
            rbac(rules=rules, rules_stat_prefix="first", track_per_rule_stats=True, shadow_rules={"action": "ALLOW"}),
            limit(1000)])
        self.start(config.bootstrap(config.listener(manager)))
        self.assertEqual(200, self.ask("GET", "/", "h").status)
        answer = self.ask("GET", "/admin/x", "h")
        self.assertEqual((403, "RBAC: access denied"), (answer.status, answer.text()))
        self.assertEqual("rbac_access_denied_matched_policy[no_admin]", self.log(count=2)["details"])
        stats = self.proxy.stats("rbac")
        self.assertEqual((1, 1, 1, 2), (stats["http.ingress.rbac.first.allowed"], stats["http.ingress.rbac.first.denied"],
                                        stats["http.ingress.rbac.first.policy.no admin.denied"],
                                        stats["http.ingress.rbac.shadow_denied"]))

    def test_connections(self):
        def guarded(prefix):
            rules = {"policies": {"p": {"permissions": [{"any": True}], "principals": [
                {"direct_remote_ip": config.cidr(prefix, 8)}]}}}
            return config.typed("envoy.filters.network.rbac", "envoy.extensions.filters.network.rbac.v3.RBAC",
                                rules=rules, stat_prefix="net_%s" % prefix.split(".", maxsplit=1)[0])
        listeners = []
        for name, prefix in (("main", "127.0.0.0"), ("closed", "10.0.0.0")):
            entry = config.listener(config.http([config.direct(200, "in")]), name=name)
            entry["filter_chains"][0]["filters"].insert(0, guarded(prefix))
            listeners.append(entry)
        self.start(config.bootstrap(listeners))
        self.assertEqual(200, self.ask("GET", "/", "h").status)
        client = self.client(self.proxy.port("closed"))
        client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        self.assertEqual(b"", client.rest())
        self.assertEqual((1, 0), (self.proxy.stat("net_127.rbac.allowed"), self.proxy.stat("net_127.rbac.denied")))
        self.assertEqual((0, 1), (self.proxy.stat("net_10.rbac.allowed"), self.proxy.stat("net_10.rbac.denied")))
        self.assertIn('envoy_rbac_denied{envoy_rbac_prefix="net_10"} 1', self.proxy.admin("/stats/prometheus").text)


@unittest.skipIf(IS_ENVOY, "Envoy answers no 407")
class ProxyAuth(ProxyTest):
    def proxy_with(self, users, **keywords):
        login = config.typed("sluice.filters.http.proxy_auth", "sluice.filters.http.proxy_auth.v1.ProxyAuth",
                             users={"inline_string": users}, realm="office")
        self.start(config.forward_proxy(self.names({"ok.t": names.address("127.0.0.1")}), log=self.log_path,
                                        filters=[login]), **keywords)

    def curl(self, *arguments, code=0):
        environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        result = subprocess.run(["curl", "-sS", "--max-time", str(20 * SLOW), *arguments], env=environment, check=False,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(code, result.returncode, result.stderr)
        return result.stdout.decode()

    @unittest.skipUnless(shutil.which("curl"), "there is no curl")
    def test_curl(self):
        origin = self.origin()
        self.proxy_with("ann:%s\nbob:%s" % (BCRYPT, SHA), concurrency=2)
        url = "http://ok.t:%d/" % origin.port
        for user in ("ann:secret", "bob:secret"):
            through = "http://%s@127.0.0.1:%d" % (user, self.proxy.port())
            for options in ((), ("--proxytunnel",), ("--proxy-anyauth",), ("--proxy-anyauth", "--proxytunnel")):
                with self.subTest(user=user, options=options):
                    self.assertEqual("200", self.curl("-x", through, "-o", "/dev/null", "-w", "%{http_code}", *options, url))
        for request in origin.requests:
            self.assertIsNone(request.header("proxy-authorization"))
        wrong = "http://ann:wrong@127.0.0.1:%d" % self.proxy.port()
        self.assertEqual("407", self.curl("-x", wrong, "-o", "/dev/null", "-w", "%{http_code}", url))

    def test_every_request_is_checked(self):
        origin = self.origin(ok(b"in"))
        self.proxy_with("ann:%s" % BCRYPT)
        client = self.client()
        target = "http://ok.t:%d/" % origin.port
        good = [("Proxy-Authorization", "Basic YW5uOnNlY3JldA==")]
        statuses = [client.ask("GET", target, "x", headers).status for headers in (good, [], good, [
            ("Proxy-Authorization", "Basic " + "A" * 40000)], [("Proxy-Authorization", "Basic YW5uOgBzZWNyZXQ=")], good)]
        self.assertEqual([200, 407, 200, 407, 407, 200], statuses)
        self.assertEqual(3, len(origin.requests))
        stats = self.proxy.stats("proxy_auth")
        self.assertEqual((3, 1, 2), (stats["http.ingress.proxy_auth.allowed"], stats["http.ingress.proxy_auth.missing"],
                                     stats["http.ingress.proxy_auth.denied"]))

    def test_connect_asks_again_on_the_same_connection(self):
        origin = self.origin(ok(b"in"))
        self.proxy_with("ann:%s" % SHA)
        client = self.client()
        target = "ok.t:%d" % origin.port
        answer = client.ask("CONNECT", target, target)
        self.assertEqual((407, 'Basic realm="office"', None),
                         (answer.status, answer.header("proxy-authenticate"), answer.header("connection")))
        client.request("CONNECT", target, target, [("Proxy-Authorization", "Basic YW5uOnNlY3JldA==")])
        self.assertEqual(200, client.response("CONNECT").status)
        self.assertEqual("in", client.ask("GET", "/", "ok.t").text())

    def test_hashes_stay_secret(self):
        self.proxy_with("ann:%s" % BCRYPT)
        dump = self.proxy.admin("/config_dump").text
        self.assertIn("proxy_auth", dump)
        self.assertIsNone(re.search(re.escape(BCRYPT), dump))

    def test_a_costly_password_delays_nobody_else(self):
        # One check takes seconds; meanwhile the worker serves others.
        origin = self.origin(ok(b"in"))
        self.proxy_with("slow:$2y$15$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\nbob:%s" % SHA, concurrency=1)
        waiting = self.client(timeout=60.0 * SLOW)
        waiting.request("GET", "http://ok.t:%d/" % origin.port, "x", [("Proxy-Authorization", "Basic c2xvdzp4")])
        client = self.client()
        answer = client.ask("GET", "http://ok.t:%d/" % origin.port, "x", [("Proxy-Authorization", "Basic Ym9iOnNlY3JldA==")])
        self.assertEqual(200, answer.status)
        self.assertEqual(0, self.proxy.stat("http.ingress.proxy_auth.denied"))
        self.assertEqual(407, waiting.response().status)


class Fault(ProxyTest):
    def fault(self, **fields):
        fault = config.typed("envoy.filters.http.fault", HTTP + "fault.v3.HTTPFault", **fields)
        manager = config.http([config.direct(200, "x" * 4096)], filters=[fault], log=self.log_path)
        self.start(config.bootstrap(config.listener(manager)))

    def test_delay(self):
        self.fault(delay={"fixed_delay": "0.3s", "percentage": {"numerator": 100}})
        start = time.monotonic()
        self.assertEqual(200, self.ask("GET", "/", "h").status)
        self.assertGreaterEqual(time.monotonic() - start, 0.3)
        self.assertEqual("DI", self.log()["flags"])
        self.proxy.wait_stat("http.ingress.fault.delays_injected", 1)
        self.proxy.wait_stat("http.ingress.fault.active_faults", 0)

    @unittest.skipIf(IS_ENVOY, "a direct response passes Envoy's limit at once")
    def test_slow_response(self):
        # 4 KiB at 8 KiB a second, but for the first part.
        self.fault(response_rate_limit={"fixed_limit": {"limit_kbps": 8}, "percentage": {"numerator": 100}})
        start = time.monotonic()
        self.assertEqual("x" * 4096, self.ask("GET", "/", "h").text())
        self.assertGreaterEqual(time.monotonic() - start, 0.4)

    def test_a_client_that_leaves_during_a_delay(self):
        self.fault(delay={"fixed_delay": "100s", "percentage": {"numerator": 100}})
        client = self.client()
        client.request("GET", "/", "h")
        self.proxy.wait_stat("http.ingress.fault.active_faults", 1)
        client.close()
        self.proxy.wait_stat("http.ingress.fault.active_faults", 0)


class HealthCheck(ProxyTest):
    def check(self, path, minima, **fields):
        return config.typed("envoy.filters.http.health_check", HTTP + "health_check.v3.HealthCheck",
                            **{"pass_through_mode": False, **fields},
                            headers=[{"name": ":path", "string_match": {"exact": path}}],
                            cluster_min_healthy_percentages={name: {"value": value} for name, value in minima.items()})

    def some_clusters(self):
        def hosts(name, *health):
            cluster = config.cluster(name, *range(9, 9 + len(health)))
            for endpoint, state in zip(cluster["load_assignment"]["endpoints"][0]["lb_endpoints"], health):
                endpoint["health_status"] = state
            return cluster
        return [hosts("half", "HEALTHY", "UNHEALTHY"), hosts("degraded", "DEGRADED"), hosts("empty")]

    def test_clusters_must_be_well(self):
        cases = [({"half": 50}, 200, "ok_cluster_healthy"), ({"half": 51}, 503, "failed_cluster_unhealthy"),
                 ({"empty": 1}, 503, "failed_cluster_empty"), ({"empty": 0}, 200, "ok_cluster_healthy"),
                 ({"missing": 0}, 503, "failed_no_cluster_found"),
                 ({"half": 50, "degraded": 100}, 200, "ok_cluster_healthy")]
        filters = [self.check("/%d" % i, minima) for i, (minima, _, _) in enumerate(cases)]
        self.start(config.bootstrap(config.listener(config.http([config.direct(204)], filters=filters, log=self.log_path)),
                                    self.some_clusters()), concurrency=1)
        for i, (minima, status, _) in enumerate(cases):
            answer = self.ask("GET", "/%d" % i, "h")
            self.assertEqual(status, answer.status, minima)
            self.assertIsNone(answer.header("x-envoy-immediate-health-check-fail"))
        self.assertEqual([1, 1, 1], [self.proxy.stat("http.ingress.health_check.failed_cluster_" + why)
                                     for why in ("not_found", "empty", "unhealthy")])
        self.assertEqual([("health_check_" + details, "-" if status == 200 else "LH") for _, status, details in cases],
                         [(entry["details"], entry["flags"]) for entry in self.logs(len(cases))])
        for why in ("empty", "not_found", "unhealthy"):
            self.assertEqual(1, self.proxy.stat("http.ingress.health_check.failed_cluster_" + why), why)

    @unittest.skipIf(IS_ENVOY, "which ignores them there")
    def test_clusters_with_pass_through(self):
        with self.assertRaisesRegex(AssertionError, "has no meaning with pass_through_mode"):
            self.start(config.bootstrap(config.listener(config.http([config.direct(204)], filters=[
                self.check("/", {"half": 50}, pass_through_mode=True)])), self.some_clusters()))

    def test_fail_and_ok(self):
        check = config.typed("envoy.filters.http.health_check", HTTP + "health_check.v3.HealthCheck", pass_through_mode=False,
                             headers=[{"name": ":path", "string_match": {"exact": "/healthz"}}])
        self.start(config.bootstrap(config.listener(config.http([config.direct(204)], filters=[check], log=self.log_path))),
                   arguments=["--service-cluster", "here"])
        answer = self.ask("GET", "/healthz", "h")
        self.assertEqual((200, "here"), (answer.status, answer.header("x-envoy-upstream-healthchecked-cluster")))
        self.assertEqual(200, self.proxy.admin("/healthcheck/fail", "POST").status)
        failing = "x-envoy-immediate-health-check-fail"
        answer = self.ask("GET", "/healthz", "h")
        self.assertEqual((503, "true", "here"), (answer.status, answer.header(failing),
                                                 answer.header("x-envoy-upstream-healthchecked-cluster")))
        answer = self.ask("GET", "/", "h")
        self.assertEqual("close", answer.header("connection"))
        self.assertEqual((204, "true", None), (answer.status, answer.header(failing),
                                               answer.header("x-envoy-upstream-healthchecked-cluster")))
        entry = self.logs(3)[1]
        self.assertEqual(("LH", "health_check_failed"), (entry["flags"], entry["details"]))
        self.assertEqual(200, self.proxy.admin("/healthcheck/ok", "POST").status)
        self.assertEqual(200, self.ask("GET", "/healthz", "h").status)
        answer = self.ask("GET", "/", "h")
        self.assertEqual((None, None), (answer.header(failing), answer.header("connection")))
        self.assertEqual(2, self.proxy.stat("http.ingress.downstream_rq_completed"), "health checks do not count")
        self.assertEqual(0, self.proxy.stat("http.ingress.downstream_rq_5xx"))
        stats = self.proxy.stats("health_check")
        self.assertEqual((3, 2, 1), tuple(stats["http.ingress.health_check." + name]
                                          for name in ("request_total", "ok", "failed")))
        # The two requests for / are all that dashboards are told of.
        self.proxy.wait_stat("http.ingress.tracing.health_check", 3)
        self.proxy.wait_stat("http.ingress.downstream_rq_completed", 2)
        self.assertEqual((2, 0), (self.proxy.stat("http.ingress.downstream_rq_2xx"), self.proxy.stat("http.ingress.downstream_rq_5xx")))


if __name__ == "__main__":
    unittest.main()
