"""Access logs of listeners: a line for each connection."""
import json
import unittest

from test.support import config
from test.support.proxy import ProxyTest

CONNECTION = {"type": "%ACCESS_LOG_TYPE%", "flags": "%RESPONSE_FLAGS%", "details": "%RESPONSE_CODE_DETAILS%",
              "termination": "%CONNECTION_TERMINATION_DETAILS%", "protocol": "%PROTOCOL%", "code": "%RESPONSE_CODE%",
              "received": "%BYTES_RECEIVED%", "sent": "%BYTES_SENT%", "close": "%DOWNSTREAM_DETECTED_CLOSE_TYPE%",
              "reason": "%DOWNSTREAM_LOCAL_CLOSE_REASON%", "remote": "%DOWNSTREAM_REMOTE_ADDRESS%",
              "direct": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%", "chain": "%FILTER_CHAIN_NAME%", "cluster": "%UPSTREAM_CLUSTER%",
              "host": "%UPSTREAM_HOST%", "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%", "method": "%REQ(:METHOD)%",
              "connecting": "%COMMON_DURATION(US_CX_BEG:US_CX_END:ns)%"}
NOTHING = {"type": "NotSet", "flags": "-", "details": None, "termination": None, "protocol": None, "code": 0, "received": 0, "sent": 0,
           "close": "Normal", "reason": None, "chain": "chain", "cluster": None, "host": None, "attempts": 0, "method": None}


class ConnectionLog(ProxyTest):
    """Listener.access_log: a line for each connection."""

    def serve(self, *network_filters, clusters=(), **fields):
        content = config.listener(None, access_log=[config.file_log(self.log_path, log_format={"json_format": CONNECTION})], **fields)
        content["filter_chains"] = [{"name": "chain", "filters": list(network_filters)}]
        self.start(config.bootstrap(content, clusters), concurrency=1)
        return content

    def line(self, count=1):
        return json.loads(self.proxy.lines(self.log_path, count)[count - 1])

    def expect(self, line, **fields):
        """Everything but the addresses, which are the client's."""
        self.assertEqual({**NOTHING, **fields}, {name: line[name] for name in NOTHING})

    def test_http(self):
        self.serve(config.http([config.direct(200, "well")]))
        with self.client() as client:
            here = "127.0.0.1:%d" % client.socket.getsockname()[1]
            first, second = client.ask("GET", "/", "h"), client.ask("POST", "/", "h", body=b"12345")
        line = self.line()
        self.assertEqual((here, here), (line["remote"], line["direct"]))
        self.assertGreater(line["received"], 2 * len("GET / HTTP/1.1\r\nhost: h\r\n\r\n") + 5)
        # All that went over the connection, in one line for both requests.
        self.assertEqual(len(first.raw) + len(second.raw), line["sent"])
        self.expect(line, protocol="HTTP/1.1", received=line["received"], sent=line["sent"], reason=line["reason"])

    def test_no_http(self):
        self.serve(config.http([config.direct(200)]))
        wire = self.client()
        wire.send("GARBAGE\r\n\r\n")
        wire.finish()
        wire.rest()
        line = self.line()
        self.assertGreater(line["sent"], 0)
        self.assertEqual(("DPE", 11, None), (line["flags"], line["received"], line["protocol"]))

    def test_refused_heads(self):
        """A head without a host is HTTP/1.1 all the same; what breaks the protocol is of none."""
        self.serve(config.http([config.direct(200)]))
        for number, (head, expected) in enumerate((("GET / HTTP/1.1\r\n\r\n", ("-", "HTTP/1.1")),
                                                   ("GET / HTTP/1.1\r\nno colon\r\n\r\n", ("DPE", None))), 1):
            wire = self.client()
            wire.send(head)
            wire.finish()
            wire.rest()
            line = self.line(number)
            self.assertEqual(expected, (line["flags"], line["protocol"]))

    def test_reset(self):
        self.serve(config.http([config.direct(200)]))
        self.client().reset()
        self.expect(self.line(), close="RemoteReset")

    def test_tcp(self):
        origin = self.raw_origin(lambda wire: (wire.read(5), wire.send("answer")))
        self.serve(config.tcp("raw"), clusters=[config.cluster("raw", origin.port)])
        wire = self.client()
        wire.send("hello")
        self.assertEqual(b"answer", wire.read(6))
        wire.close()
        line = self.line()
        self.expect(line, received=5, sent=6, cluster="raw", host="127.0.0.1:%d" % origin.port, attempts=1)
        self.assertGreater(line["connecting"], 0)

    def test_no_chain(self):
        content = config.listener(config.http([config.direct(200)]),
                                  access_log=[config.file_log(self.log_path, log_format={"json_format": CONNECTION})])
        content["filter_chains"][0]["filter_chain_match"] = {"source_ports": [1]}
        self.start(config.bootstrap(content), concurrency=1)
        wire = self.client()
        self.assertTrue(wire.at_eof())
        self.expect(self.line(), flags="NR", details="filter_chain_not_found", chain=None)

    def test_listener_filter(self):
        kind = "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol"
        self.serve(config.http([config.direct(200, "well")]),
                   listener_filters=[config.typed("envoy.filters.listener.proxy_protocol", kind)])
        bad = self.client()
        bad.send("PROXY TCP9 no\r\n")
        self.assertTrue(bad.at_eof())
        self.expect(self.line(), chain=None)
        head = "PROXY TCP4 10.1.1.1 10.2.2.2 7 8\r\n"
        request = "GET / HTTP/1.1\r\nhost: h\r\n\r\n"
        good = self.client()
        here = "127.0.0.1:%d" % good.socket.getsockname()[1]
        good.send(head, request)
        self.assertEqual(200, good.response().status)
        good.close()
        line = self.line(2)
        # The head of the listener filter is not the connection's.
        self.assertEqual(("10.1.1.1:7", here, len(request)), (line["remote"], line["direct"], line["received"]))

    def test_network_filters(self):
        """Who ends a connection says so."""
        kind = "envoy.extensions.filters.network.rbac.v3.RBAC"
        nobody = config.typed("envoy.filters.network.rbac", kind, stat_prefix="r", rules={"action": "ALLOW", "policies": {}})
        self.serve(nobody, config.http([config.direct(200)]))
        wire = self.client()
        wire.send("x")
        self.assertTrue(wire.at_eof())
        line = self.line()
        self.assertEqual(("rbac_access_denied_matched_policy[none]", "rbac_deny_close"), (line["termination"], line["reason"]))

    def test_filter(self):
        """The log's own filter applies."""
        log = config.file_log(self.log_path, log_format={"json_format": CONNECTION})
        log["filter"] = {"response_flag_filter": {"flags": ["DPE"]}}
        self.start(config.bootstrap(config.listener(config.http([config.direct(200)]), access_log=[log])), concurrency=1)
        self.ask("GET", "/", "h")
        self.proxy.wait_stat("http.ingress.downstream_cx_active", 0)
        wire = self.client()
        wire.send("GARBAGE\r\n\r\n")
        wire.finish()
        wire.rest()
        self.assertEqual("DPE", self.line()["flags"])


if __name__ == "__main__":
    unittest.main()
