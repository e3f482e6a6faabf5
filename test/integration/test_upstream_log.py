"""upstream_log of the router: a line for each attempt, with that attempt's values."""
import json
import os
import unittest

from test.support import config
from test.support.origin import closed_port, ok
from test.support.proxy import ProxyTest

FORMAT = {**config.LOG_FORMAT, "type": "%ACCESS_LOG_TYPE%", "n": "%RESP(X-N)%", "attempt": "%REQ(X-ENVOY-ATTEMPT-COUNT)%",
          "failure": "%UPSTREAM_TRANSPORT_FAILURE_REASON%", "attempted": "%UPSTREAM_HOSTS_ATTEMPTED%", "added": "%RESP(X-ADDED)%"}


class UpstreamLog(ProxyTest):
    """A gateway whose router logs."""

    def serve(self, *ports, action=None, filters=None, **fields):
        self.upstream_log = os.path.join(self.files, "upstream.log")
        host = config.virtual_host([config.forward("c", prefix="/", action=action), config.direct(200, prefix="/direct")],
                                   include_request_attempt_count=True,
                                   response_headers_to_add=[{"header": {"key": "x-added", "value": "yes"}}])
        host["routes"].reverse()
        manager = config.http(hosts=[host], log=self.log_path, **fields)
        log = config.file_log(self.upstream_log, log_format={"json_format": FORMAT})
        manager["typed_config"]["http_filters"][-1] = config.router(upstream_log=[{**log, **(filters or {})}])
        self.start(config.bootstrap(config.listener(manager), [config.cluster("c", *ports)]))

    def attempts(self, count, *names):
        """What the lines say, by name."""
        entries = sorted((json.loads(line) for line in self.proxy.lines(self.upstream_log, count)),
                         key=lambda entry: float(entry["start"]))
        self.assertEqual(count, len(entries))
        return [tuple(entry.get(name) for name in names) for entry in entries]

    def test_answer(self):
        origin = self.origin(ok(b"hello"))
        self.serve(origin.port)
        self.assertEqual(200, self.ask("POST", "/a?b", "h", body=b"abc").status)
        self.assertEqual([("UpstreamEnd", "POST", "/a?b", "h", 200, "-", 5, 3, "127.0.0.1:%d" % origin.port, "c", None)],
                         self.attempts(1, "type", "method", "path", "authority", "code", "flags", "received", "sent",
                                       "upstream", "cluster", "added"))
        entry = self.log()
        self.assertEqual((3, 5), (entry["received"], entry["sent"]))

    def test_chunks(self):
        self.serve(self.origin(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n").port)
        client = self.client()
        client.send(b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")
        self.assertEqual(b"hello", client.response().body)
        self.assertEqual([(200, 5, 3)], self.attempts(1, "code", "received", "sent"))

    def test_retry_after_an_answer(self):
        answers = [b"HTTP/1.1 503 No\r\nx-n: 1\r\ncontent-length: 0\r\n\r\n", b"HTTP/1.1 200 OK\r\nx-n: 2\r\ncontent-length: 2\r\n\r\nok"]
        self.serve(self.origin(lambda request: answers.pop(0)).port, action={"retry_policy": {"retry_on": "5xx"}})
        self.assertEqual(200, self.ask("POST", "/", "h", body=b"abc").status)
        self.assertEqual([(503, "-", "1", "1", 0, 3), (200, "-", "2", "2", 2, 3)],
                         self.attempts(2, "code", "flags", "n", "attempt", "received", "sent"))
        self.assertEqual(200, self.log()["code"])

    def test_retry_after_a_failure(self):
        port, holder = closed_port()
        with holder:
            origin = self.origin(ok())
            self.serve(port, origin.port, action={"retry_policy": {"retry_on": "connect-failure"}})
            # Each worker has a turn of its own, so the first may begin at the other port.
            asked = fails = 0
            while fails == 0 and asked < 50:
                self.assertEqual(200, self.ask("GET", "/", "h").status)
                asked, fails = asked + 1, self.proxy.stat("cluster.c.upstream_cx_connect_fail")
        refused = "127.0.0.1:%d" % port
        served = "127.0.0.1:%d" % origin.port
        self.assertEqual(1, fails)
        lines = self.attempts(asked + 1, "code", "flags", "upstream", "failure", "attempted")
        self.assertEqual([(0, "UF", refused)] + [(200, "-", served)] * asked, sorted(line[:3] for line in lines))
        self.assertEqual(["delayed_connect_error:_Connection_refused"], [line[3] for line in lines if line[0] == 0])
        self.assertEqual([None] * asked, [line[3] for line in lines if line[0] == 200])
        self.assertEqual([served] * asked, [line[4] for line in lines if line[0] == 200])

    def test_timeout_of_an_attempt(self):
        origin = self.raw_origin(lambda wire: wire.rest())
        self.serve(origin.port, action={"retry_policy": {"retry_on": "reset,gateway-error", "per_try_timeout": "0.1s"}})
        self.assertEqual(504, self.ask("GET", "/", "h").status)
        self.assertEqual([(0, "UT", "1"), (0, "UT", "2")], self.attempts(2, "code", "flags", "attempt"))

    def test_answer_that_breaks_off(self):
        origin = self.raw_origin(lambda wire: (wire.head(), wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc")))
        self.serve(origin.port)
        client = self.client()
        client.request("GET", "/", "h")
        client.rest()
        self.assertEqual([(200, "UPE", 3)], self.attempts(1, "code", "flags", "received"))

    def test_tunnel(self):
        def serve(wire):
            wire.head()
            wire.send(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n")
            wire.send(wire.read(3) + b"de")
        self.serve(self.raw_origin(serve).port, upgrade_configs=[{"upgrade_type": "x"}])
        with self.client() as client:
            client.request("GET", "/", "h", headers=[("connection", "upgrade"), ("upgrade", "x")])
            self.assertEqual(101, client.head().status)
            client.send(b"abc")
            self.assertEqual(b"abcde", client.read(5))
        self.assertEqual([(101, 5, 3)], self.attempts(1, "code", "received", "sent"))

    def test_filter_and_what_is_not_forwarded(self):
        self.serve(self.origin(ok()).port, filters={"filter": {"header_filter": {
            "header": {"name": "x-log", "present_match": True}}}})
        self.assertEqual(200, self.ask("GET", "/direct", "h", headers=[("x-log", "1")]).status)
        self.assertEqual(200, self.ask("GET", "/no", "h").status)
        self.assertEqual(200, self.ask("GET", "/yes", "h", headers=[("x-log", "1")]).status)
        self.logs(3)
        self.assertEqual([("/yes",)], self.attempts(1, "path"))


if __name__ == "__main__":
    unittest.main()
