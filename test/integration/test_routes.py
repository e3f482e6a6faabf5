"""Which route a request takes, direct answers, and what the access log says of it all."""
import json
import os
import re
import signal
import unittest

from test.support import config, names
from test.support.client import Client
from test.support.origin import ok
from test.support.proxy import IS_ENVOY, ProxyTest
from test.support.wait import wait_for


class Routes(ProxyTest):
    """A gateway of direct responses: the body names the route."""

    def gateway(self, routes=None, hosts=None, clusters=(), **fields):
        manager = config.http(routes, hosts=hosts, log=self.log_path, **fields)
        return self.start(config.bootstrap(config.listener(manager), clusters))

    def body(self, target="/", host="h", headers=(), method="GET"):
        answer = self.ask(method, target, host, headers)
        return answer.text() if answer.status == 200 else answer.status

    def test_direct_response(self):
        self.gateway([config.direct(418, "short and stout")])
        answer = self.ask("GET", "/", "h")
        self.assertEqual((418, "short and stout"), (answer.status, answer.text()))
        self.assertEqual("text/plain", answer.header("content-type"))
        entry = self.log()
        self.assertEqual(("-", "direct_response"), (entry["flags"], entry["details"]))
        self.proxy.wait_stat("http.ingress.rq_direct_response", 1)

    def test_paths(self):
        self.gateway([
            {"match": {"path": "/exact"}, "direct_response": config.direct(200, "path")["direct_response"]},
            config.direct(200, "prefix", "/pre"),
            {"match": {"safe_regex": {"regex": "/r/[0-9]+"}},
             "direct_response": config.direct(200, "regex")["direct_response"]},
            {"match": {"path_separated_prefix": "/sep"},
             "direct_response": config.direct(200, "separated")["direct_response"]}])
        for target, expected in (("/exact", "path"), ("/exact?q", "path"), ("/exactly", 404),
                                 ("/prefixed", "prefix"), ("/r/12", "regex"), ("/r/12x", 404),
                                 ("/sep/x", "separated"), ("/separate", 404), ("/", 404)):
            with self.subTest(target=target):
                self.assertEqual(expected, self.body(target))
        entry = self.log(count=9)
        self.assertEqual(("NR", "route_not_found"), (entry["flags"], entry["details"]))

    def test_headers(self):
        def header(body, **matcher):
            return config.direct(200, body, headers=[matcher])
        self.gateway([
            header("exact", name="a", string_match={"exact": "1"}),
            header("prefix", name="a", string_match={"prefix": "2", "ignore_case": True}),
            header("regex", name="a", string_match={"safe_regex": {"regex": "x+"}}),
            header("range", name="n", range_match={"start": 10, "end": 20}),
            header("method", name=":method", string_match={"exact": "PUT"}),
            header("present", name="p", present_match=True),
            header("absent", name="p", present_match=True, invert_match=True)])
        for headers, expected in (([("A", "1")], "exact"), ([("a", "23")], "prefix"),
                                  ([("a", "xxx")], "regex"), ([("n", "10")], "range"),
                                  ([("n", "20"), ("p", "")], "present"),
                                  ([], "absent")):
            with self.subTest(headers=headers):
                self.assertEqual(expected, self.body(headers=headers))
        self.assertEqual("method", self.body(method="PUT"))

    def test_query_parameters(self):
        self.gateway([config.direct(200, "query", query_parameters=[
            {"name": "a", "string_match": {"exact": "1"}}])])
        self.assertEqual("query", self.body("/?b=2&a=1"))
        self.assertEqual(404, self.body("/?a=2"))

    def test_virtual_hosts(self):
        self.gateway(hosts=[
            config.virtual_host([config.direct(200, name)], [domain], name)
            for name, domain in (("exact", "www.a.t"), ("suffix", "*.a.t"), ("longer", "*.b.a.t"),
                                 ("prefix", "a.*"), ("port", "p.t:8080"), ("any port", "*.q.t:*"))])
        for host, expected in (("www.a.t", "exact"), ("WWW.A.T", "exact"), ("x.a.t", "suffix"),
                               ("x.b.a.t", "longer"), ("a.t", "prefix"), ("a.org", "prefix"),
                               ("p.t:8080", "port"), ("p.t", 404), ("other", 404),
                               ("x.q.t:81", 404 if IS_ENVOY else "any port")):
            with self.subTest(host=host):
                self.assertEqual(expected, self.body(host=host))

    def test_redirect(self):
        self.gateway([{"match": {"prefix": "/"}, "redirect": {"host_redirect": "new.t", "path_redirect": "/n"}}])
        answer = self.ask("GET", "/old", "h")
        self.assertEqual((301, "http://new.t/n"), (answer.status, answer.header("location")))

    def test_rewrites(self):
        origin = self.origin()
        self.gateway([config.forward("o", "/a", {"prefix_rewrite": "/b", "host_rewrite_literal": "new.t"}),
                      config.forward("o", "/r", {"regex_rewrite": {
                          "pattern": {"regex": "/r/([0-9]+)"}, "substitution": "/n/\\1"}})],
                     clusters=[config.cluster("o", origin.port)])
        self.ask("GET", "/a/x?q", "h")
        self.assertEqual(("/b/x?q", "new.t"), (origin.requests[0].target, origin.requests[0].header("host")))
        self.ask("GET", "/r/12?q", "h")
        self.assertEqual("/n/12?q", origin.requests[1].target)

    def test_header_edits(self):
        origin = self.origin(ok(b"x", "x-internal: 1"))

        def add(name, value):
            return {"header": {"key": name, "value": value}}
        self.gateway([config.forward(
            "o", request_headers_to_add=[add("x-peer", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%")],
            request_headers_to_remove=["x-secret"], response_headers_to_add=[add("x-added", "yes")],
            response_headers_to_remove=["x-internal"])], clusters=[config.cluster("o", origin.port)])
        answer = self.ask("GET", "/", "h", [("X-Secret", "1")])
        self.assertEqual(("yes", None), (answer.header("x-added"), answer.header("x-internal")))
        request = origin.requests[0]
        self.assertEqual(("127.0.0.1", None), (request.header("x-peer"), request.header("x-secret")))

    def test_header_mutation_filter(self):
        mutation = config.typed(
            "envoy.filters.http.header_mutation",
            "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
            mutations={"request_mutations": [{"append": {"header": {"key": "x-egress", "value": "1"}}},
                                             {"remove": "x-gone"}],
                       "response_mutations": [{"append": {"header": {"key": "x-back", "value": "2"}}}]})
        origin = self.origin()
        self.gateway([config.forward("o")], filters=[mutation], clusters=[config.cluster("o", origin.port)])
        answer = self.ask("GET", "/", "h", [("X-Gone", "1")])
        self.assertEqual("2", answer.header("x-back"))
        self.assertEqual(("1", None), (origin.requests[0].header("x-egress"), origin.requests[0].header("x-gone")))

    def test_weighted_clusters(self):
        origins = [self.origin(ok(b"%d" % number)) for number in range(2)]
        self.gateway([{"match": {"prefix": "/"}, "route": {"weighted_clusters": {"clusters": [
            {"name": "c0", "weight": 0}, {"name": "c1", "weight": 100}]}}}],
            clusters=[config.cluster("c%d" % number, origin.port) for number, origin in enumerate(origins)])
        self.assertEqual(["1"] * 5, [self.body() for _ in range(5)])


class AccessLog(ProxyTest):
    """The formats, byte by byte, and the rotation."""

    LINE = (r'\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\] "%s" %s %s \d+ \d+ \d+ (\d+|-) '
            r'"%s" "%s" "%s" "%s" "%s"')
    UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"

    def egress(self, loggers=None):
        settings = config.dns_cache(self.names({"ok.t": names.address("127.0.0.1")}))
        manager = config.http([config.connect(), config.forward()], filters=[config.dfp_filter(settings)],
                              log=loggers or [config.file_log(self.log_path)],
                              upgrade_configs=[{"upgrade_type": "CONNECT"}])
        # One worker: the lines of two stand in any order.
        return self.start(config.bootstrap(config.listener(manager), [config.dfp_cluster(settings)]),
                          concurrency=1)

    def check(self, line, *parts):
        self.assertRegex(line, "^" + self.LINE % parts + "$")

    def test_default_format(self):
        origin = self.origin()
        self.egress()
        authority = "ok.t:%d" % origin.port
        address = "127.0.0.1:%d" % origin.port
        self.ask("GET", "/x?y=1", authority, [("User-Agent", "ua/1"), ("X-Forwarded-For", "192.0.2.7")])
        self.ask("GET", "/x", "nx.t")
        with Client(self.proxy.port()) as client:
            client.request("CONNECT", "nx.t:443", "nx.t:443")
            client.response()
        lines = self.proxy.lines(self.log_path, 3)
        self.check(lines[0], r"GET /x\?y=1 HTTP/1\.1", 200, "-", r"192\.0\.2\.7", "ua/1", self.UUID,
                   re.escape(authority), re.escape(address))
        self.assertIn(" 200 - 0 5 ", lines[0])
        self.check(lines[1], r"GET /x HTTP/1\.1", 503, "DF", "-", "-", self.UUID, r"nx\.t", "-")
        self.assertIn(" 503 DF 0 22 ", lines[1])
        self.check(lines[2], r"CONNECT - HTTP/1\.1", 503, "DF", "-", "-", self.UUID, r"nx\.t:443", "-")

    def test_text_format(self):
        self.egress([config.file_log(self.log_path, log_format={"text_format_source": {
            "inline_string": "%REQ(:METHOD)% %REQ(X-MISSING)% %RESPONSE_CODE% %REQ(X-A?X-B):3%\n"}})])
        self.ask("GET", "/", "nx.t", [("X-B", "abcdef")])
        self.assertEqual(["GET - 503 abc"], self.proxy.lines(self.log_path, 1))

    def test_json_keeps_types(self):
        self.egress([config.json_log(self.log_path)])
        self.ask("GET", '/"quoted"', "nx.t")
        entry = json.loads(self.proxy.lines(self.log_path, 1)[0])
        self.assertEqual(503, entry["code"])
        self.assertEqual('/"quoted"', entry["path"])
        self.assertIsNone(entry["upstream"])
        self.assertIsInstance(entry["duration"], int)

    def test_stdout(self):
        logger = config.typed("envoy.access_loggers.stdout",
                              "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
                              log_format={"text_format_source": {"inline_string": "LINE %REQ(:PATH)%\n"}})
        self.egress([logger])
        self.ask("GET", "/seen", "nx.t")
        wait_for(lambda: "LINE /seen\n" in self.proxy.log(), 15)

    def test_status_filter(self):
        logger = config.file_log(self.log_path)
        logger["filter"] = {"status_code_filter": {"comparison": {
            "op": "GE", "value": {"default_value": 500, "runtime_key": "none"}}}}
        origin = self.origin()
        self.egress([logger])
        self.ask("GET", "/fine", "ok.t:%d" % origin.port)
        self.ask("GET", "/bad", "nx.t")
        self.assertIn("/bad", self.proxy.lines(self.log_path, 1)[0])

    def test_rotation(self):
        self.egress([config.file_log(self.log_path)])
        self.ask("GET", "/first", "nx.t")
        self.proxy.lines(self.log_path, 1)
        os.rename(self.log_path, self.log_path + ".1")
        self.proxy.signal(signal.SIGUSR1)
        wait_for(lambda: os.path.exists(self.log_path), 10, "a new log file")
        self.ask("GET", "/second", "nx.t")
        self.assertIn("/second", self.proxy.lines(self.log_path, 1)[0])
        with open(self.log_path + ".1", encoding="utf-8") as file:
            self.assertIn("/first", file.read())


if __name__ == "__main__":
    unittest.main()
