"""The egress guard: what the dynamic forward proxy refuses to dial, and every way to open and to close it."""
import json
import unittest

from test.support import config, names
from test.support.client import Client
from test.support.origin import on_one_port
from test.support.proxy import IS_ENVOY, ProxyTest

FILTER = "sluice.filters.http.egress_guard"
TYPE = "sluice.egress.v1.EgressGuard"


def policy(**fields):
    """The value of a route's typed_per_filter_config."""
    return {FILTER: {"@type": config.TYPES + TYPE, **fields}}


@unittest.skipIf(IS_ENVOY, "ours alone")
class EgressGuard(ProxyTest):
    """A forward proxy and an origin on loopback, which is denied unless a test opens it."""

    def egress(self, zone=None, guard=None, arguments=(), **keywords):
        self.server = self.names({"in.t": names.address("127.0.0.1"), **(zone or {})})
        content = config.forward_proxy(self.server, log=self.log_path, **keywords)
        if guard is not None:
            content["bootstrap_extensions"] = [config.egress_guard(**guard)]
        return self.start(content, open_loopback=False, arguments=arguments)

    def denied(self, authority, rule, count=1, before=0):
        """A plain request and a CONNECT are refused by `rule`; the log has `before` lines and those of `count` calls."""
        for method, target in (("GET", "/"), ("GET", "http://%s/" % authority), ("CONNECT", authority)):
            answer = self.ask(method, target, authority)
            self.assertEqual((403, "egress denied"), (answer.status, answer.text()), target)
        for entry in self.logs(before + count * 3)[-3:]:
            self.assertEqual((403, "ED", "egress_denied{%s}" % rule), (entry["code"], entry["flags"], entry["details"]))

    def test_denied_by_default(self):
        origin = self.origin()
        self.egress()
        self.denied("127.0.0.1:%d" % origin.port, "loopback")
        self.denied("in.t:%d" % origin.port, "loopback", 2)
        self.denied("[::ffff:127.0.0.1]:%d" % origin.port, "loopback", 3)
        self.denied("169.254.169.254:80", "metadata", 4)
        self.assertEqual(0, origin.connections)
        self.proxy.wait_stat("egress_guard.denied", 12)
        self.proxy.wait_stat("egress_guard.denied.loopback", 9)
        self.proxy.wait_stat("egress_guard.denied.metadata", 3)
        self.assertEqual(0, self.proxy.stat("egress_guard.allowed"))
        self.assertEqual(0, self.proxy.stat("cluster.dfp.membership_total"))
        # A refusal keeps the client's connection.
        with self.client() as client:
            for _ in range(2):
                self.assertEqual(403, client.ask("GET", "/", "in.t:%d" % origin.port).status)

    def test_denied_names_are_not_looked_up(self):
        self.egress(guard={"deny_hosts": [{"suffix": ".bad.t"}]})
        self.denied("metadata.google.internal:80", "metadata_host")
        self.denied("x.bad.t:443", "deny_hosts[0]", 2)
        self.denied("X.BAD.T.:443", "deny_hosts[0]", 3)
        self.assertEqual(0, self.server.count())

    def test_one_overlay_opens_it(self):
        origin = self.origin()
        overlay = {"bootstrap_extensions": [config.egress_guard(allow_ranges=[config.cidr("127.0.0.0", 8)])]}
        self.egress(arguments=["--config-yaml", json.dumps(overlay)])
        self.assertEqual(200, self.ask("GET", "/", "in.t:%d" % origin.port).status)
        self.proxy.wait_stat("egress_guard.allowed", 1)
        self.assertIn("egress guard: enforcing, as bootstrap_extensions says", self.proxy.log())

    def test_the_log_says_how_to_open_it(self):
        self.egress()
        line = [line for line in self.proxy.log().splitlines() if "egress guard: enforcing" in line][0]
        overlay = line.split("--config-yaml '")[1].split("'")[0].replace("10.0.0.0", "127.0.0.0")
        self.proxy = None
        origin = self.origin()
        self.egress(arguments=["--config-yaml", overlay])
        self.assertEqual(200, self.ask("GET", "/", "in.t:%d" % origin.port).status)

    def test_report_lets_pass(self):
        origin = self.origin()
        self.egress(guard={"mode": "REPORT"})
        for _ in range(2):
            self.assertEqual(200, self.ask("GET", "/", "in.t:%d" % origin.port).status)
        self.proxy.wait_stat("egress_guard.reported", 2)
        self.assertIn("egress guard: would deny in.t:%d: loopback" % origin.port, self.proxy.log())

    def test_own_listeners_in_every_mode(self):
        for guard in ({"mode": "DISABLED"}, {"mode": "REPORT"}, {"allow_ranges": config.LOOPBACK}):
            with self.subTest(guard=guard):
                self.proxy = None
                self.egress(guard=guard)
                for port in (self.proxy.port(), self.proxy.admin_port):
                    for host in ("127.0.0.1", "in.t", "[::ffff:127.0.0.1]"):
                        for method in ("GET", "CONNECT"):
                            authority = "%s:%d" % (host, port)
                            answer = self.ask(method, authority if method == "CONNECT" else "/", authority)
                            self.assertEqual((403, "egress denied"), (answer.status, answer.text()))
                self.proxy.wait_stat("egress_guard.denied.own_listener", 12)
                self.proxy.wait_stat("http.ingress.downstream_rq_total", 12)

    def test_ports(self):
        origin = self.origin()
        self.egress(guard={"allow_ranges": config.LOOPBACK, "ports": [{"start": origin.port, "end": origin.port + 1}]})
        self.assertEqual(200, self.ask("GET", "/", "in.t:%d" % origin.port).status)
        self.denied("in.t:%d" % (origin.port + 1), "port", before=1)

    def test_only_checked_addresses_are_dialled(self):
        good, bad = on_one_port(lambda port: self.origin(address="127.0.0.2", port=port),
                                lambda port: self.raw_origin(lambda wire: None, port=port))
        self.egress({"mixed.t": names.address("127.0.0.1", "127.0.0.2")},
                    guard={"allow_ranges": [config.cidr("127.0.0.2", 32)]})
        for _ in range(3):
            self.assertEqual(200, self.ask("GET", "/", "mixed.t:%d" % good.port).status)
        good.close()
        with self.client() as client:
            self.assertEqual(503, client.ask("POST", "/", "mixed.t:%d" % good.port, body=b"x").status)
        self.assertEqual(0, bad.connections)

    def test_a_route_has_its_own_policy(self):
        origin = self.origin()
        routes = [config.forward(prefix="/open", typed_per_filter_config=policy(allow_ranges=config.LOOPBACK)),
                  config.forward(prefix="/closed", typed_per_filter_config=policy(mode="ENFORCE", deny_hosts=[{"exact": "in.t"}])),
                  config.connect(), config.forward()]
        guard = {**config.typed(FILTER, TYPE), "disabled": True}
        self.egress(routes=routes, filters=[guard])
        authority = "in.t:%d" % origin.port
        with self.client() as client:
            # A connection that one policy opened is not there for another.
            for path, status in (("/open", 200), ("/", 403), ("/open/2", 200), ("/closed", 403), ("/open/3", 200)):
                self.assertEqual(status, client.ask("GET", path, authority).status, path)
        self.assertEqual(["egress_denied{loopback}", "egress_denied{deny_hosts[0]}"],
                         [entry["details"] for entry in self.logs(5) if entry["code"] == 403])
        self.assertEqual(["/open", "/open/2", "/open/3"], [request.target for request in origin.requests])
        self.assertEqual(1, origin.connections)

    def test_a_chain_has_its_own_policy(self):
        origin = self.origin()
        self.egress(guard={"allow_ranges": config.LOOPBACK}, filters=[config.typed(FILTER, TYPE)])
        self.denied("in.t:%d" % origin.port, "loopback")
        self.assertEqual(0, origin.connections)

    def test_configured_endpoints_are_not_guarded(self):
        origin = self.origin()
        self.start(config.bootstrap(config.listener(config.http([config.forward("origin")])), [config.cluster("origin", origin.port)]),
                   open_loopback=False)
        self.assertEqual(200, self.ask("GET", "/", "h").status)
        self.assertNotIn("egress guard", self.proxy.log())

    def test_a_second_guard_is_refused(self):
        self.server = self.names({})
        content = config.forward_proxy(self.server)
        content["bootstrap_extensions"] = [config.egress_guard(), config.egress_guard()]
        with self.assertRaisesRegex(AssertionError, "there can be one egress guard only"):
            self.start(content)

    def test_bad_ranges_are_refused(self):
        content = config.forward_proxy(self.names({}))
        content["bootstrap_extensions"] = [config.egress_guard(deny_ranges=[config.cidr("10.0.0.0", 8), config.cidr("10.0.0.0", 40)])]
        with self.assertRaisesRegex(AssertionError, r"\.yaml:\d+:\d+: bootstrap_extensions\[0\]\.typed_config\.deny_ranges\[1\]: the prefix length 40 is too long"):
            self.start(content)

    def other_proxy(self, mend=lambda head: head):
        """Another proxy, which sends all that it gets to ours, and hands the answer back; `mend` changes the head on its way."""
        def pass_on(request):
            self.passed.append(request)
            with Client(self.proxy.port()) as client:
                client.send(mend(request.raw))
                return client.response().raw
        self.passed = []
        return self.origin(pass_on)

    def test_a_request_that_comes_back_is_refused(self):
        other = self.other_proxy()
        self.egress(guard={"allow_ranges": config.LOOPBACK})
        answer = self.ask("GET", "/", "in.t:%d" % other.port, [("CDN-Loop", "foo.example; a=b")])
        self.assertEqual((508, "loop detected"), (answer.status, answer.text()))
        self.assertEqual(1, len(self.passed))
        self.assertRegex(self.passed[0].header("cdn-loop"), "^foo.example; a=b, [0-9a-f]{16}$")
        self.proxy.wait_stat("egress_guard.loops", 1)
        self.assertEqual({("loop_detected", "ED", 508), ("via_upstream", "-", 508)},
                         {(entry["details"], entry["flags"], entry["code"]) for entry in self.logs(2)})

    def test_another_process_is_no_loop(self):
        origin = self.origin()
        self.egress(guard={"allow_ranges": config.LOOPBACK})
        marks = set()
        for _ in range(2):
            self.proxy = self.start(config.forward_proxy(self.server))
            answer = self.ask("GET", "/", "in.t:%d" % origin.port, [("CDN-Loop", "0123456789abcdef")])
            self.assertEqual(200, answer.status)
            marks.add(origin.requests[-1].header("cdn-loop"))
        self.assertEqual(2, len(marks))

    def test_loops_may_be_allowed(self):
        origin = self.origin()
        self.egress(guard={"allow_ranges": config.LOOPBACK, "allow_loops": True})
        self.assertEqual(200, self.ask("GET", "/", "in.t:%d" % origin.port).status)
        self.assertIsNone(origin.requests[0].header("cdn-loop"))


if __name__ == "__main__":
    unittest.main()
