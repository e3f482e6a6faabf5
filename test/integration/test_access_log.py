"""Access logs: types of values, types of lines, filters."""
import json
import threading
import unittest

from test.support import config
from test.support.origin import closed_port, ok
from test.support.proxy import IS_ENVOY, ProxyTest
from test.support.wait import wait_for


def log(path, json_format, **fields):
    return {**config.file_log(path, log_format={"json_format": json_format}), **fields}


class AccessLog(ProxyTest):
    """A reverse proxy with one or two log files."""

    def run_proxy(self, origin, logs, **fields):
        self.start(config.bootstrap(config.listener(config.http([config.forward("up")], log=logs, **fields)),
                                    [config.cluster("up", origin.port)]), concurrency=1)

    def entries(self, count):
        return [json.loads(line) for line in self.proxy.lines(self.log_path, count)]

    def test_values_keep_their_types(self):
        self.run_proxy(self.origin(), [log(self.log_path, {
            "z": {"b": "%RESPONSE_CODE%", "a": "code %RESPONSE_CODE%", "list": ["%PROTOCOL%", 1, True, None]},
            "missing": "%REQ(X-NONE)%", "tls": "%DOWNSTREAM_TLS_VERSION%", "body": "%LOCAL_REPLY_BODY%",
            "sent": "%BYTES_SENT%", "first": '%COALESCE({"operators":["TRACE_ID",{"command":"REQ","param":"x-a"}]})%'})])
        self.ask("GET", "/", "h", [("x-a", "one")])
        line = self.proxy.lines(self.log_path, 1)[0]
        # Keys in alphabetical order, as Envoy writes them.
        self.assertEqual('{"body":"","first":"one","missing":null,"sent":5,"tls":null,'
                         '"z":{"a":"code 200","b":200,"list":["HTTP/1.1",1,true,null]}}', line)

    def test_what_is_empty_is_omitted(self):
        missing = "%REQ(x-none)%"
        self.run_proxy(self.origin(), [config.file_log(self.log_path, log_format={"omit_empty_values": True, "json_format": {
            "code": "%RESPONSE_CODE%", "deep": {"a": {"b": missing}, "n": None}, "list": [missing, {"x": missing}, {"y": 1}],
            "none": missing, "some": {"a": missing, "method": "%REQ(:METHOD)%"}, "z": missing + "!"}})])
        self.ask("GET", "/", "h")
        self.assertEqual('{"code":200,"list":[{"y":1}],"some":{"method":"GET"},"z":"!"}', self.proxy.lines(self.log_path, 1)[0])

    def refused(self, *heads):
        """The lines of heads that are none."""
        self.run_proxy(self.origin(), [log(self.log_path, {
            "line": "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%", "host": "%REQ(:AUTHORITY)%",
            "agent": "%REQ(USER-AGENT)%", "details": "%RESPONSE_CODE_DETAILS%"})])
        for head in heads:
            with self.client() as client:
                client.send(head + "\r\nuser-agent: t\r\n\r\n")
                self.assertEqual(400, client.response().status)
        return self.entries(len(heads))

    def test_regression_a_refused_head_has_its_line(self):
        self.assertEqual(
            [{"line": "GET /a#b HTTP/1.1", "host": "h", "agent": "t", "details": "path_normalization_failed"},
             {"line": "GET /b HTTP/1.1", "host": None, "agent": "t", "details": "missing_host_header"}],
            self.refused("GET /a#b HTTP/1.1\r\nhost: h", "GET /b HTTP/1.1"))
        self.proxy.wait_stat("http.ingress.downstream_rq_active", 0)

    @unittest.skipIf(IS_ENVOY, "Envoy says no more than - -")
    def test_a_broken_head_says_what_came_before(self):
        self.assertEqual(
            [{"line": "GET /c HTTP/1.1", "host": "h", "agent": None, "details": "http1.codec_error"},
             {"line": "- - HTTP/1.1", "host": None, "agent": None, "details": "http1.codec_error"}],
            self.refused("GET /c HTTP/1.1\r\nhost: h\r\nno colon", "G@T / HTTP/1.1\r\nhost: h"))

    def test_regression_a_cluster_that_does_not_exist(self):
        manager = config.http([config.forward("gone", prefix="/gone"), config.forward("up")],
                              log=[log(self.log_path, {"cluster": "%UPSTREAM_CLUSTER%", "raw": "%UPSTREAM_CLUSTER_RAW%"})])
        manager["typed_config"]["route_config"]["validate_clusters"] = False
        self.start(config.bootstrap(config.listener(manager), [config.cluster("up", self.origin().port)]), concurrency=1)
        self.assertEqual([503, 200], [self.ask("GET", path, "h").status for path in ("/gone", "/")])
        self.assertEqual([{"cluster": None, "raw": None}, {"cluster": "up", "raw": "up"}], self.entries(2))

    def test_old_fields_have_types_too(self):
        values = {"code": "%RESPONSE_CODE%", "none": "%REQ(x-none)%", "list": ["%BYTES_SENT%"]}
        self.run_proxy(self.origin(), [config.file_log(self.log_path, **{field: values})
                                       for field in ("json_format", "typed_json_format")])
        self.ask("GET", "/", "h")
        self.assertEqual(['{"code":200,"list":[5],"none":null}'] * 2, self.proxy.lines(self.log_path, 2))

    def test_formatters(self):
        kinds = [("req_without_query", "ReqWithoutQuery"), ("metadata", "Metadata")]
        formatters = [config.typed("envoy.formatter." + name, "envoy.extensions.formatter.%s.v3.%s" % (name, kind))
                      for name, kind in kinds]
        text = {"inline_string": "%REQ_WITHOUT_QUERY(:PATH)% %METADATA(ROUTE:ns:key)%\n"}
        route = config.forward("up", metadata={"filter_metadata": {"ns": {"key": "value"}}})
        log_format = {"text_format_source": text, "formatters": formatters}
        self.start(config.bootstrap(
            config.listener(config.http([route], log=[config.file_log(self.log_path, log_format=log_format)])),
            [config.cluster("up", self.origin().port)]), concurrency=1)
        self.ask("GET", "/path?secret=1", "h")
        self.assertEqual(["/path value"], self.proxy.lines(self.log_path, 1))

    def test_empty_is_not_missing(self):
        route = config.forward("up", metadata={"filter_metadata": {"ns": {"empty": "", "nothing": None}}})
        values = {"empty": "%METADATA(ROUTE:ns:empty)%", "nothing": "%METADATA(ROUTE:ns:nothing)%", "q": "%QUERY_PARAM(q)%"}
        text = {"text_format_source": {"inline_string": " ".join("<%s>" % value for value in values.values()) + "\n"}}
        self.start(config.bootstrap(
            config.listener(config.http([route], log=[log(self.log_path, values), config.file_log(self.log_path, log_format=text)])),
            [config.cluster("up", self.origin().port)]), concurrency=1)
        self.ask("GET", "/?q=", "h")
        self.assertEqual(['{"empty":"","nothing":null,"q":""}', "<> <-> <>"], self.proxy.lines(self.log_path, 2))

    def test_connections_are_told_apart(self):
        self.run_proxy(self.origin(), [log(self.log_path, {"down": "%CONNECTION_ID%", "up": "%UPSTREAM_CONNECTION_ID%"})])
        with self.client() as client:
            for _ in range(2):
                client.ask("GET", "/", "h")
        self.ask("GET", "/", "h")
        first, second, other = self.entries(3)
        self.assertEqual(first, second)
        self.assertNotEqual(first["down"], other["down"])
        # The connection to the origin was kept.
        self.assertEqual(first["up"], other["up"])
        self.assertNotEqual(first["up"], first["down"])

    def test_a_kept_connection_says_when_it_was_made(self):
        made = "%COMMON_DURATION(US_CX_BEG:US_CX_END:ns)%"
        self.run_proxy(self.origin(), [log(self.log_path, {"made": made, "before": "%COMMON_DURATION(US_CX_END:DS_RX_BEG:ns)%"})])
        with self.client() as client:
            for _ in range(2):
                client.ask("GET", "/", "h")
        first, second = self.entries(2)
        self.assertIsNone(first["before"])
        self.assertGreater(second["before"], 0)
        self.assertEqual(first["made"], second["made"])

    def test_a_tunnel_is_counted_on_its_wires(self):
        peer = self.raw_origin(lambda wire: wire.send(wire.read(6)))
        names = {"to_client": "%DOWNSTREAM_WIRE_BYTES_SENT%", "of_client": "%DOWNSTREAM_WIRE_BYTES_RECEIVED%",
                 "sent": "%UPSTREAM_WIRE_BYTES_SENT%",
                 "received": "%UPSTREAM_WIRE_BYTES_RECEIVED%", "spoken": "%UPSTREAM_PROTOCOL%"}
        manager = config.http([config.connect("up")], log=[log(self.log_path, names)], upgrade_configs=[{"upgrade_type": "CONNECT"}])
        self.start(config.bootstrap(config.listener(manager), [config.cluster("up", peer.port)]), concurrency=1)
        request = b"CONNECT a.t:1 HTTP/1.1\r\nhost: a.t:1\r\n\r\n"
        with self.client() as client:
            client.send(request + b"ea")
            answer = client.response("CONNECT")
            self.assertEqual(200, answer.status)
            client.send("rly!")
            self.assertEqual(b"early!", client.rest())
        entry = self.entries(1)[0]
        self.assertEqual({"of_client": len(request) + 6, "to_client": len(answer.raw) + 6, "sent": 6, "received": 6,
                          "spoken": None}, entry)

    def test_a_bad_head_has_a_protocol(self):
        self.run_proxy(self.origin(), [log(self.log_path, {"protocol": "%PROTOCOL%", "id": "%UPSTREAM_CONNECTION_ID%"})])
        with self.client() as client:
            client.send("BAD\r\n\r\n")
            self.assertEqual(400, client.response().status)
        self.assertEqual([{"protocol": "HTTP/1.1", "id": 0}], self.entries(1))

    def test_all_attempts_show(self):
        broken = [self.raw_origin(lambda wire: wire.read(1)) for _ in range(2)]
        well = self.origin()
        closed, holder = closed_port()
        self.addCleanup(holder.close)
        ports = [broken[0].port, closed, broken[1].port, well.port]
        route = config.forward("up", action={"retry_policy": {
            "retry_on": "reset,connect-failure", "num_retries": 3, "retry_back_off": {"base_interval": "0.001s"}}})
        names = {"hosts": "%UPSTREAM_HOSTS_ATTEMPTED%", "ids": "%UPSTREAM_CONNECTION_IDS_ATTEMPTED%",
                 "host": "%UPSTREAM_HOST%", "id": "%UPSTREAM_CONNECTION_ID%", "head": "%UPSTREAM_HEADER_BYTES_SENT%",
                 "wire": "%UPSTREAM_WIRE_BYTES_SENT%", "proxy": "%REQ(proxy-authorization)%"}
        self.start(config.bootstrap(config.listener(config.http([route], log=[log(self.log_path, names)])),
                                    [config.cluster("up", *ports)]), concurrency=1)
        self.assertEqual(200, self.ask("GET", "/", "h", [("proxy-authorization", "Basic c2VjcmV0")]).status)
        entry = self.entries(1)[0]
        hosts, ids = entry["hosts"].split(","), entry["ids"].split(",")
        self.assertEqual((entry["host"], str(entry["id"])), (hosts[-1], ids[-1]))
        self.assertEqual("127.0.0.1:%d" % well.port, entry["host"])
        # In turn, from anywhere: up to the one that answers.
        ring = ["127.0.0.1:%d" % port for port in ports]
        self.assertEqual(ring[4 - len(hosts):], hosts)
        self.assertEqual(len([host for host in hosts if host != ring[1]]), len(ids))
        self.assertEqual(len(ids), len(set(ids)))
        self.assertEqual(entry["wire"], entry["head"])
        self.assertNotIn("c2VjcmV0", str(entry))

    def test_metadata_of_cluster_and_host(self):
        def space(**fields):
            return {"filter_metadata": {"ns": fields}}
        origin = self.origin()
        up = config.cluster("up", origin.port, metadata=space(a={"b": "cluster"}))
        up["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["metadata"] = space(rack=["r", 1, True])
        bare = config.cluster("bare", origin.port)
        refuse = config.typed("envoy.filters.http.fault", "envoy.extensions.filters.http.fault.v3.HTTPFault",
                              abort={"header_abort": {}, "percentage": {"numerator": 100}})
        formats = {"cluster": "%CLUSTER_METADATA(ns:a:b)%", "same": "%METADATA(CLUSTER:ns:a:b)%",
                   "host": "%UPSTREAM_METADATA(ns:rack)%", "too": "%METADATA(UPSTREAM_HOST:ns)%",
                   "pool": "%UPSTREAM_CONNECTION_POOL_READY_DURATION%", "route": "%METADATA(ROUTE:ns:r)%",
                   "close": "%UPSTREAM_DETECTED_CLOSE_TYPE% %UPSTREAM_LOCAL_CLOSE_REASON%",
                   "client": "%DOWNSTREAM_DETECTED_CLOSE_TYPE% %DOWNSTREAM_LOCAL_CLOSE_REASON%"}
        routes = [config.direct(200, prefix="/direct"), config.forward("bare", prefix="/bare"),
                  config.forward("up", metadata=space(r="route"))]
        self.start(config.bootstrap(config.listener(config.http(
            routes, log=[log(self.log_path, formats)], filters=[refuse])), [up, bare]), concurrency=1)
        for path in ("/", "/bare", "/direct"):
            self.assertEqual(200, self.ask("GET", path, "h").status)
        self.assertEqual(418, self.ask("GET", "/", "h", [("x-envoy-fault-abort-request", "418")]).status)
        first, bare, direct, refused = self.entries(4)
        self.assertEqual(int, type(first.pop("pool")))
        self.assertEqual(int, type(bare.pop("pool")))
        none = {"cluster": None, "same": None, "host": None, "too": None, "route": None, "client": "Normal -"}
        rack = ["r", 1, True]
        self.assertEqual({"cluster": "cluster", "same": "cluster", "host": rack, "too": {"rack": rack},
                          "route": "route", "close": "Normal -", "client": "Normal -"}, first)
        self.assertEqual({**none, "close": "Normal -"}, bare)
        self.assertEqual({**none, "close": "- -", "pool": None}, direct)
        # No host was chosen, but the route says which cluster it was for.
        self.assertEqual({**none, "close": "- -", "pool": None, "cluster": "cluster", "same": "cluster",
                          "route": "route"}, refused)

    def test_surroundings_of_a_request(self):
        """Metadata of listener, filter chain and virtual host, the cluster's other name, our own end of the connection."""
        def space(value):
            return {"filter_metadata": {"ns": {"key": value}}}
        origin = self.origin()
        formats = {"listener": "%METADATA(LISTENER:ns:key)%", "chain": "%METADATA(LISTENER_FILTER_CHAIN:ns)%",
                   "host": "%METADATA(VIRTUAL_HOST:ns:key)%", "none": "%METADATA(LISTENER:other)%",
                   "cluster": "%UPSTREAM_CLUSTER%", "raw": "%UPSTREAM_CLUSTER_RAW%", "id": "%DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID%",
                   "local": "%DOWNSTREAM_LOCAL_ADDRESS%", "direct": "%DOWNSTREAM_DIRECT_LOCAL_ADDRESS%",
                   "port": "%DOWNSTREAM_DIRECT_LOCAL_PORT%", "net": "%DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT(8)%",
                   "server": "%REQUESTED_SERVER_NAME(SNI_FIRST)%", "sni": "%REQUESTED_SERVER_NAME%",
                   "environment": "%ENVIRONMENT(SLUICE_NOT_SET)%", "handshake": "%COMMON_DURATION(DS_CX_BEG:US_HS_END)%",
                   "before": "%COMMON_DURATION(DS_CX_BEG:DS_RX_BEG:ns)%", "body": "%COMMON_DURATION(US_RX_BEG:US_RX_BODY_BEG:ns)%",
                   "rest": "%COMMON_DURATION(US_RX_BODY_BEG:US_RX_END:ns)%", "open": "%COMMON_DURATION(DS_RX_BEG:DS_CX_END)%"}
        hosts = [config.virtual_host([config.direct(200, prefix="/direct"), config.forward("up")], metadata=space("host"))]
        kind = "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol"
        sorted_log = config.file_log(self.log_path, log_format={
            "json_format": formats, "json_format_options": {"sort_properties": True}})
        main = config.listener(config.http(hosts=hosts, log=[sorted_log]), metadata=space("listener"),
                               listener_filters=[config.typed("envoy.filters.listener.proxy_protocol", kind)])
        main["filter_chains"][0]["metadata"] = space("chain")
        self.start(config.bootstrap(main, [config.cluster("up", origin.port, alt_stat_name="alt")]), concurrency=1)
        here = "127.0.0.1:%d" % self.proxy.port()
        with self.client() as client:
            client.send("PROXY TCP4 10.1.1.1 10.2.2.2 7 8\r\n")
            for path in ("/", "/direct"):
                self.assertEqual(200, client.ask("GET", path, "h.t:80").status)
        first, direct = self.entries(2)
        for entry in (first, direct):
            self.assertGreaterEqual(entry.pop("before"), 0)
        for name in ("body", "rest"):
            self.assertGreaterEqual(first.pop(name), 0)
        same = {"listener": "listener", "chain": {"key": "chain"}, "host": "host", "none": None, "id": "",
                "local": "10.2.2.2:8", "direct": here, "port": self.proxy.port(), "net": "127.0.0.0/8", "server": "h.t:80",
                "sni": None, "environment": "-", "handshake": None, "open": None}
        self.assertEqual({**same, "cluster": "alt", "raw": "up"}, first)
        self.assertEqual({**same, "cluster": None, "raw": None, "body": None, "rest": None}, direct)
        self.assertIn("up::observability_name::alt\n", self.proxy.admin("/clusters").text)

    def test_local_reply_has_a_length(self):
        self.start(config.bootstrap(config.listener(config.http(
            [config.direct(403, "no", prefix="/no"), config.direct(200, prefix="/empty")],
            log=[log(self.log_path, {"length": "%RESP(content-length)%"})]))), concurrency=1)
        for path, body in (("/no", b"no"), ("/empty", b"")):
            self.assertEqual(body, self.ask("GET", path, "h").body)
        self.assertEqual([{"length": "2"}, {"length": None}], self.entries(2))

    def test_local_reply_to_grpc(self):
        """Its status is in the header, whence the log has it."""
        closed, holder = closed_port()
        self.addCleanup(holder.close)
        names = {"code": "%RESPONSE_CODE%", "status": "%GRPC_STATUS%", "number": "%GRPC_STATUS_NUMBER%", "flags": "%RESPONSE_FLAGS%"}
        routes = [config.direct(403, "no", prefix="/direct"), config.forward("down", prefix="/down")]
        log_of_errors = log(self.log_path, names, filter={"grpc_status_filter": {"statuses": ["UNAVAILABLE", "PERMISSION_DENIED"]}})
        self.start(config.bootstrap(config.listener(config.http(routes, log=[log_of_errors])),
                                    [config.cluster("down", closed)]), concurrency=1)
        for path, message in (("/direct", "no"), ("/none", None), ("/down", "upstream connect error or disconnect/reset before headers. "
                                                                            "reset reason: remote connection failure")):
            answer = self.ask("POST", path, "h", [("content-type", "application/grpc")], b"x")
            self.assertEqual((200, message, b""), (answer.status, answer.header("grpc-message"), answer.body))
        self.assertEqual([{"code": 200, "status": "PermissionDenied", "number": 7, "flags": "-"},
                          {"code": 200, "status": "Unavailable", "number": 14, "flags": "UF"}], self.entries(2))

    def test_nothing_is_traced(self):
        kinds = {"path": "%REQ(:PATH)%"}
        both = {"or_filter": {"filters": [{"traceable_filter": {}}, {"status_code_filter": {"comparison": {
            "op": "GE", "value": {"default_value": 400, "runtime_key": "log.least"}}}}]}}
        self.start(config.bootstrap(config.listener(config.http(
            [config.direct(200, prefix="/well"), config.direct(404, prefix="/bad")],
            log=[log(self.log_path, kinds, filter=both)]))), concurrency=1)
        self.ask("GET", "/well", "h")
        self.ask("GET", "/bad", "h")
        self.assertEqual([{"path": "/bad"}], self.entries(1))

    def test_lines_while_a_request_lasts(self):
        go_on = threading.Event()

        def answer(request):
            go_on.wait(10)
            return ok()
        self.run_proxy(self.origin(answer), [log(self.log_path, {"type": "%ACCESS_LOG_TYPE%", "code": "%RESPONSE_CODE%"})],
                       access_log_options={"access_log_flush_interval": "0.05s",
                                           "flush_access_log_on_new_request": True})
        with self.client() as client:
            client.request("GET", "/", "h")
            lines = self.entries(3)
            go_on.set()
            self.assertEqual(200, client.response().status)
        self.assertEqual([{"type": "DownstreamStart", "code": 0}] + [{"type": "DownstreamPeriodic", "code": 0}] * 2,
                         lines[:3])

        def ends():
            return [line for line in self.entries(4) if line["type"] == "DownstreamEnd"]
        self.assertEqual([{"type": "DownstreamEnd", "code": 200}], wait_for(ends, 5, "the last line"))

    def test_lines_at_the_start_by_the_old_field(self):
        self.run_proxy(self.origin(), [log(self.log_path, {"type": "%ACCESS_LOG_TYPE%"})], flush_access_log_on_new_request=True,
                       access_log_flush_interval="3600s")
        self.ask("GET", "/", "h")
        self.assertEqual([{"type": "DownstreamStart"}, {"type": "DownstreamEnd"}], self.entries(2))

    def test_filters(self):
        kinds = {"type": "%ACCESS_LOG_TYPE%", "path": "%REQ(:PATH)%"}
        ends = {"log_type_filter": {"types": ["DownstreamEnd"]}}
        sampled = {"runtime_filter": {"runtime_key": "log.share", "percent_sampled": {"numerator": 0}}}
        self.run_proxy(self.origin(), [
            log(self.log_path, kinds, filter={"and_filter": {"filters": [
                ends, {"header_filter": {"header": {"name": ":path", "string_match": {"prefix": "/log"}}}}]}}),
            log(self.log_path, kinds, filter=sampled)],
            access_log_options={"flush_access_log_on_new_request": True})
        for path in ("/quiet", "/logged", "/quiet", "/logged/too"):
            self.ask("GET", path, "h")
        self.assertEqual([{"type": "DownstreamEnd", "path": "/logged"},
                          {"type": "DownstreamEnd", "path": "/logged/too"}], sorted(self.entries(2), key=str))

    def test_health_checks_and_stream_ids(self):
        check = config.typed("health_check", "envoy.extensions.filters.http.health_check.v3.HealthCheck", pass_through_mode=False,
                              headers=[{"name": ":path", "string_match": {"exact": "/check"}}])
        self.run_proxy(self.origin(), [log(self.log_path, {"path": "%REQ(:PATH)%", "id": "%STREAM_ID%"},
                                           filter={"not_health_check_filter": {}})], filters=[check])
        for path in ("/check", "/other"):
            self.assertEqual(200, self.ask("GET", path, "h", [("x-request-id", "abc")]).status)
        self.assertEqual([{"path": "/other", "id": "abc"}], self.entries(1))


if __name__ == "__main__":
    unittest.main()
