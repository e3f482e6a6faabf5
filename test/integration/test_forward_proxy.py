"""The forward proxy by Host, absolute-form and rewrite header, and every way in which names fail."""
import json
import threading
import unittest

from test.support import config, names
from test.support.client import Client
from test.support.origin import closed_port, ok
from test.support.proxy import IS_ENVOY, ProxyTest
from test.support.wait import wait_for


class ForwardProxy(ProxyTest):
    """One proxy with the usual zone."""

    def egress(self, zone=None, **keywords):
        zone = {"ok.t": names.address("127.0.0.1"), "nodata.t": names.NO_DATA, "fail.t": names.SERVFAIL,
                "silent.t": names.SILENT, **(zone or {})}
        self.server = self.names(zone)
        return self.start(config.forward_proxy(self.server, log=self.log_path, **keywords))

    def refused(self, host, details, method="GET"):
        """Asks for a name that fails and checks the answer and the log line."""
        target = host if method == "CONNECT" else "/"
        with self.client() as client:
            answer = client.ask(method, target, host)
            self.assertEqual(503, answer.status)
            self.assertEqual("DNS resolution failure", answer.text())
            self.assertEqual("text/plain", answer.header("content-type"))
            # A failed CONNECT closes, a failed GET keeps the connection.
            if method == "CONNECT":
                self.assertTrue(client.at_eof())
            else:
                self.assertEqual(503, client.ask("GET", "/", host).status)
        entry = self.log()
        self.assertEqual((503, "DF"), (entry["code"], entry["flags"]))
        self.assertEqual("dns_resolution_failure{%s}" % details, entry["details"])

    def test_regression_a_name_that_does_not_resolve_keeps_the_connection_of_a_whole_body(self):
        self.egress()
        with self.client() as client:
            for _ in range(2):
                answer = client.ask("POST", "/", "nowhere.t", body=b"four")
                self.assertEqual((503, None), (answer.status, answer.header("connection")))

    def test_a_name_that_does_not_resolve_is_no_attempt(self):
        self.server = self.names({"nodata.t": names.NO_DATA})
        cache = config.dns_cache(self.server)
        host = config.virtual_host([config.forward(action={"retry_policy": {"retry_on": "5xx"}}, match={
            "headers": [{"name": "x-retry", "present_match": True}]}), config.forward()],
            include_attempt_count_in_response=True,
            response_headers_to_add=[{"header": {"key": "x-attempts", "value": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"}}])
        self.start(config.bootstrap(config.listener(config.http(
            hosts=[host], filters=[config.dfp_filter(cache)])), [config.dfp_cluster(cache)]))
        for headers in ([], [("x-retry", "1")]):
            answer = self.ask("GET", "/", "nodata.t", headers)
            self.assertEqual((503, "0", None), (answer.status, answer.header("x-attempts"),
                                                answer.header("x-envoy-attempt-count")))
        counted = {name: value for name, value in self.proxy.stats("cluster.dfp.*upstream_rq_(5|503|completed)").items() if value}
        self.assertEqual({}, counted)

    def test_host_header(self):
        origin = self.origin()
        self.egress()
        answer = self.ask("GET", "/a?b=c", "ok.t:%d" % origin.port)
        self.assertEqual((200, b"hello"), (answer.status, answer.body))
        request = origin.requests[0]
        self.assertEqual(b"GET /a?b=c HTTP/1.1", request.start)
        self.assertEqual("ok.t:%d" % origin.port, request.header("host"))
        entry = self.log()
        self.assertEqual((200, "-", "via_upstream"),
                         (entry["code"], entry["flags"], entry["details"]))
        self.assertEqual("127.0.0.1:%d" % origin.port, entry["upstream"])

    def test_absolute_form(self):
        origin = self.origin()
        self.egress()
        authority = "ok.t:%d" % origin.port
        for host in (authority, "other.t", None):
            with self.subTest(host=host):
                answer = self.ask("GET", "http://%s/p?q" % authority, host)
                self.assertEqual(200, answer.status)
                self.assertEqual(b"GET /p?q HTTP/1.1", origin.requests[-1].start)
                self.assertEqual(authority, origin.requests[-1].header("host"))

    def test_absolute_form_with_userinfo(self):
        origin = self.origin()
        self.egress()
        answer = self.ask("GET", "http://u:p@ok.t:%d/" % origin.port, "x")
        # Envoy drops it; a password in the open is worth a refusal.
        self.assertEqual(200 if IS_ENVOY else 400, answer.status)
        for request in origin.requests:
            self.assertNotIn(b"u:p", request.raw)

    def test_rewrite_header(self):
        origin = self.origin()
        routes = [config.forward(match={"headers": [{"name": "x-rewrite-me", "present_match": True}]},
                                 typed_per_filter_config=config.dfp_per_route(
                                     host_rewrite_header="x-rewrite-me")),
                  config.forward()]
        self.egress(routes=routes)
        authority = "ok.t:%d" % origin.port
        self.assertEqual(200, self.ask("GET", "/", "nowhere.t", [("x-rewrite-me", authority)]).status)
        self.assertEqual(authority, origin.requests[0].header("host"))
        answer = self.ask("GET", "/", authority, [("x-rewrite-me", "")])
        self.assertEqual((400, "Empty host header"), (answer.status, answer.text()))
        self.assertEqual("empty_host_header", self.log(count=2)["details"])

    def test_rewrite_literal(self):
        origin = self.origin()
        authority = "ok.t:%d" % origin.port
        self.egress(routes=[config.forward(
            typed_per_filter_config=config.dfp_per_route(host_rewrite_literal=authority))])
        self.assertEqual(200, self.ask("GET", "/", "nowhere.t").status)
        self.assertEqual(authority, origin.requests[0].header("host"))

    def test_regression_the_cluster_comes_from_a_header(self):
        origin = self.origin()
        authority = "ok.t:%d" % origin.port
        route = config.forward(action={"cluster_header": "x-cluster"},
                               typed_per_filter_config=config.dfp_per_route(host_rewrite_literal=authority))
        del route["route"]["cluster"]
        self.egress(routes=[route])
        self.assertEqual(200, self.ask("GET", "/", "nowhere.t", [("x-cluster", "dfp")]).status)
        self.assertEqual(authority, origin.requests[0].header("host"))
        self.assertEqual(503, self.ask("GET", "/", authority, [("x-cluster", "none")]).status)

    def test_ip_literal_asks_no_dns(self):
        origin = self.origin()
        self.egress()
        self.assertEqual(200, self.ask("GET", "/", "127.0.0.1:%d" % origin.port).status)
        self.assertEqual(0, self.server.count())
        self.proxy.wait_stat("dns_cache.cache.host_added", 1)

    def test_one_question_for_many_requests(self):
        origin = self.origin()
        self.egress()
        for _ in range(5):
            self.assertEqual(200, self.ask("GET", "/", "ok.t:%d" % origin.port).status)
        self.assertEqual(1, self.server.count("ok.t"))

    def test_second_address_is_tried(self):
        origin = self.origin()
        self.egress({"two.t": names.address("127.0.0.2", "127.0.0.1")})
        self.assertEqual(200, self.ask("GET", "/", "two.t:%d" % origin.port).status)

    def test_nxdomain(self):
        self.egress()
        self.refused("nx.t", "cares_norecords:Domain_name_not_found")
        self.assertEqual(1, self.server.count("nx.t"), "the second answer comes from the cache")

    def test_nxdomain_connect(self):
        self.egress()
        self.refused("nx.t:443", "cares_norecords:Domain_name_not_found", "CONNECT")

    def test_no_data(self):
        self.egress()
        self.refused("nodata.t", "cares_norecords:DNS_server_returned_answer_with_no_data")

    def test_servfail(self):
        self.egress()
        self.refused("fail.t", "cares_failure:DNS_server_returned_general_failure")
        self.assertGreater(self.proxy.stat("dns_cache.cache.dns_query_failure"), 0)

    @unittest.skipIf(IS_ENVOY, "waits for both families for as long as its DNS library has not learnt how fast the server is")
    def test_silence_for_one_family(self):
        silent = {"types": {"AAAA": names.SILENT, "A": names.address("127.0.0.1")}}
        self.egress({"ok.t": silent}, cache={"dns_lookup_family": "ALL"})
        origin = self.origin()
        self.assertEqual(200, self.ask("GET", "/", "ok.t:%d" % origin.port).status)

    def test_silence(self):
        self.egress(cache={"dns_query_timeout": "0.3s"})
        self.refused("silent.t", "resolve_timeout")
        self.proxy.wait_stat("dns_cache.cache.dns_query_timeout", 1)

    def test_host_overflow(self):
        origin = self.origin()
        self.egress(cache={"max_hosts": 1})
        self.assertEqual(200, self.ask("GET", "/", "ok.t:%d" % origin.port).status)
        for method, target in (("GET", "/"), ("CONNECT", "other.t:443")):
            answer = self.ask(method, target, "other.t:443")
            self.assertEqual((503, "DNS cache overflow"), (answer.status, answer.text()))
        for entry in self.logs(3)[1:]:
            self.assertEqual((503, "-", "dns_cache_overflow"),
                             (entry["code"], entry["flags"], entry["details"]))
        self.proxy.wait_stat("dns_cache.cache.host_overflow", 2)
        self.assertEqual(200, self.ask("GET", "/", "ok.t:%d" % origin.port).status)

    def test_pending_overflow_of_zero(self):
        self.egress(cache={"dns_cache_circuit_breaker": {"max_pending_requests": 0}})
        self.pending_overflow("ok.t")

    def test_pending_overflow(self):
        self.egress(cache={"dns_cache_circuit_breaker": {"max_pending_requests": 1},
                           "dns_query_timeout": "1s"})
        with self.client() as waiting:
            waiting.request("GET", "/", "silent.t")
            self.proxy.wait_stat("dns_cache.cache.circuit_breakers.rq_pending_open", 1)
            self.pending_overflow("other.t")
            self.assertEqual(503, waiting.response().status)
        self.proxy.wait_stat("dns_cache.cache.circuit_breakers.rq_pending_open", 0)

    def pending_overflow(self, host):
        answer = self.ask("GET", "/", host)
        self.assertEqual((503, "Dynamic forward proxy pending request overflow"),
                         (answer.status, answer.text()))
        entry = self.log()
        self.assertEqual((503, "-", "dynamic_forward_proxy_pending_request_overflow"),
                         (entry["code"], entry["flags"], entry["details"]))
        self.proxy.wait_stat("dns_cache.cache.dns_rq_pending_overflow", 1)

    def test_concurrent_misses_are_one_question(self):
        origin = self.origin()
        self.egress({"ok.t": names.address("127.0.0.1", delay=0.3)})
        statuses = []
        threads = [threading.Thread(target=lambda: statuses.append(
            self.ask("GET", "/", "ok.t:%d" % origin.port).status)) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([200] * 10, statuses)
        self.assertEqual(1, self.server.count("ok.t"))

    def test_client_leaves_while_resolving(self):
        self.egress(cache={"dns_query_timeout": "1s"})
        with Client(self.proxy.port()) as client:
            client.request("GET", "/", "silent.t")
            self.proxy.wait_stat("http.ingress.downstream_rq_active", 1)
        self.proxy.wait_stat("http.ingress.downstream_rq_active", 0)
        entry = self.log()
        self.assertEqual((0, "DC"), (entry["code"], entry["flags"]))

    def test_bad_hosts(self):
        self.egress()
        for host in ("ok.t:99999", "ok.t:abc", "ok.t:", "u@ok.t"):
            with self.subTest(host=host):
                answer = self.ask("GET", "/", host)
                if IS_ENVOY:
                    self.assertEqual((503, "DNS resolution failure"), (answer.status, answer.text()))
                else:
                    # A name that cannot be is the client's mistake: never dialled, never looked up.
                    self.assertIn(answer.status, (400, 503))
        self.assertEqual(0, self.server.count("ok.t"))

    def test_no_host_and_empty_host(self):
        self.egress()
        with self.client() as client:
            answer = client.ask("GET", "/")
            self.assertEqual((400, b""), (answer.status, answer.body))
            self.assertTrue(client.at_eof())
        self.assertEqual("missing_host_header", self.log()["details"])
        with self.client() as client:
            answer = client.ask("GET", "/", "")
            self.assertEqual((400, "Empty host header"), (answer.status, answer.text()))
        self.assertEqual("empty_host_header", self.log(count=2)["details"])

    def test_schemes(self):
        self.egress(use_remote_address=True)
        answer = self.ask("GET", "ftp://ok.t/", "ok.t")
        self.assertEqual((400, "Bad Request"), (answer.status, answer.text()))
        entry = self.log()
        self.assertEqual(("DPE", "http1.invalid_scheme"), (entry["flags"], entry["details"]))
        answer = self.ask("GET", "https://ok.t/", "ok.t")
        self.assertEqual(403, answer.status)
        entry = self.log(count=2)
        self.assertEqual(("DPE", "http1.https_url_on_plaintext_connection"),
                         (entry["flags"], entry["details"]))

    def test_port_refuses(self):
        port, holder = closed_port()
        with holder:
            self.egress()
            answer = self.ask("GET", "/", "ok.t:%d" % port)
        self.assertEqual(503, answer.status)
        self.assertEqual("upstream connect error or disconnect/reset before headers. "
                         "reset reason: remote connection failure", answer.text())
        entry = self.log()
        self.assertEqual("UF", entry["flags"])
        self.assertEqual("upstream_reset_before_response_started{remote_connection_failure|"
                         "delayed_connect_error:_Connection_refused}", entry["details"])
        self.proxy.wait_stat("cluster.dfp.upstream_cx_connect_fail", 1)

    def test_the_log_says_how_long_a_look_up_took(self):
        origin = self.origin()
        name = "envoy.dynamic_forward_proxy.dns_"
        log = config.file_log(self.log_path, log_format={"json_format": {
            "took": "%%COMMON_DURATION(%sstart_ms:%send_ms:us)%%" % (name, name),
            "before": "%%COMMON_DURATION(DS_RX_BEG:%sstart_ms:us)%%" % name}})
        self.server = self.names({"slow.t": names.address("127.0.0.1", delay=0.1)})
        self.start(config.forward_proxy(self.server, log=[log], routes=[config.direct(200, prefix="/direct"), config.forward()]),
                   concurrency=1)
        for path in ("/", "/", "/direct"):
            self.assertEqual(200, self.ask("GET", path, "slow.t:%d" % origin.port).status)
        miss, hit, none = [json.loads(line) for line in self.proxy.lines(self.log_path, 3)]
        self.assertGreaterEqual(miss["took"], 100000)
        self.assertLess(hit["took"], 100000)
        self.assertGreaterEqual(min(miss["before"], hit["before"]), 0)
        self.assertIsNone(none["before"])

    def test_names_with_case_and_dot(self):
        origin = self.origin()
        self.egress()
        for host in ("OK.T", "ok.t."):
            self.assertEqual(200, self.ask("GET", "/", "%s:%d" % (host, origin.port)).status)
            self.assertEqual("%s:%d" % (host, origin.port), origin.requests[-1].header("host"))
        if not IS_ENVOY:
            self.assertEqual((1, 1), (self.server.count(), self.proxy.stat("dns_cache.cache.num_hosts")))

    def test_an_address_outlives_failures(self):
        origin = self.origin()
        self.egress({"ok.t": names.address("127.0.0.1", ttl=1)},
                    cache={"dns_min_refresh_rate": "1s", "dns_refresh_rate": "1s"})
        self.assertEqual(200, self.ask("GET", "/", "ok.t:%d" % origin.port).status)
        self.server.set("ok.t", names.NXDOMAIN)
        wait_for(lambda: self.server.count("ok.t") >= 2, 5)
        self.proxy.wait_stat("dns_cache.cache.dns_query_success", 2)
        self.assertEqual(200, self.ask("GET", "/", "ok.t:%d" % origin.port).status)

    def test_unused_host_is_forgotten(self):
        origin = self.origin()
        self.egress({"ok.t": names.address("127.0.0.1", ttl=1)},
                    cache={"host_ttl": "0.5s", "dns_min_refresh_rate": "1s", "dns_refresh_rate": "1s"})
        self.assertEqual(200, self.ask("GET", "/", "ok.t:%d" % origin.port).status)
        self.proxy.wait_stat("dns_cache.cache.host_removed", 1, 6)
        self.assertEqual(0, self.proxy.stat("dns_cache.cache.num_hosts"))
        self.assertEqual(200, self.ask("GET", "/", "ok.t:%d" % origin.port).status)

    def test_forwarded_fields(self):
        origin = self.origin(ok(b"x", "connection: keep-alive, x-hop", "x-hop: 1", "x-end: 2"))
        self.egress()
        answer = self.ask("GET", "/", "ok.t:%d" % origin.port,
                          [("Connection", "x-secret"), ("x-secret", "1"), ("Keep-Alive", "timeout=5"),
                           ("Proxy-Connection", "keep-alive"), ("TE", "trailers"), ("X-Kept", "yes")])
        self.assertEqual(200, answer.status)
        request = origin.requests[0]
        for name in ("x-secret", "keep-alive", "proxy-connection"):
            self.assertIsNone(request.header(name), name)
        self.assertEqual("yes", request.header("x-kept"))
        self.assertTrue(request.header("x-request-id"))
        self.assertEqual("http", request.header("x-forwarded-proto"))
        self.assertEqual("2", answer.header("x-end"))


if __name__ == "__main__":
    unittest.main()
