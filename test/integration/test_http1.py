"""HTTP/1.1 as clients and origins speak it: framing, reuse of connections, what ends them."""
import threading
import unittest

from test.support import config
from test.support.client import Client
from test.support.origin import ok
from test.support.proxy import IS_ENVOY, ProxyTest
from test.support.wait import wait_for


class Http1(ProxyTest):
    """A gateway in front of one origin."""

    @unittest.skipIf(IS_ENVOY, "Envoy waits for ever")
    def test_regression_an_answer_of_our_own_is_to_be_taken_in_its_time(self):
        """More than any socket buffer holds, for a client that reads nothing."""
        text = {"text_format_source": {"inline_string": "x" * (14 << 20)}}
        silent = self.raw_origin(lambda wire: wire.rest())
        manager = config.http([config.forward("silent")], stream_idle_timeout="0.3s", delayed_close_timeout="0.1s",
                              local_reply_config={"body_format": text})
        self.start(config.bootstrap(config.listener(manager), [config.cluster("silent", silent.port)]))
        for count, head in enumerate(("GET / HTTP/1.1\r\nhost: h\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n"), 1):
            client = self.client()
            client.send(head)
            self.proxy.wait_stat("http.ingress.downstream_cx_total", count)
            self.proxy.wait_stat("http.ingress.downstream_cx_active", 0)

    def gateway(self, answer=None, cluster_fields=None, **fields):
        self.upstream = self.origin(answer)
        manager = config.http([config.forward("origin")], log=self.log_path, **fields)
        return self.start(config.bootstrap(config.listener(manager), [
            config.cluster("origin", self.upstream.port, **(cluster_fields or {}))]))

    def test_keep_alive(self):
        self.gateway()
        with self.client() as client:
            for number in range(5):
                answer = client.ask("GET", "/%d" % number, "h")
                self.assertEqual((200, b"hello"), (answer.status, answer.body))
        self.proxy.wait_stat("http.ingress.downstream_cx_total", 1)
        self.assertEqual(1, self.upstream.connections)

    def test_connection_close(self):
        self.gateway()
        with self.client() as client:
            answer = client.ask("GET", "/", "h", [("Connection", "close")])
            self.assertEqual("close", answer.header("connection"))
            self.assertTrue(client.at_eof())

    def test_pipelining(self):
        self.gateway(lambda request: ok(request.target.encode()))
        with self.client() as client:
            client.send(*["GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % number for number in range(20)])
            bodies = [client.response().body for _ in range(20)]
        self.assertEqual([b"/%d" % number for number in range(20)], bodies)

    def test_pipelining_with_bodies(self):
        self.gateway(lambda request: ok(b"%d" % len(request.body)))
        with self.client() as client:
            client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
                        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "4\r\nwxyz\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n")
            self.assertEqual([b"3", b"4", b"0"], [client.response().body for _ in range(3)])

    def test_byte_by_byte(self):
        self.gateway(lambda request: ok(request.body))
        with self.client() as client:
            for byte in b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n":
                client.send(bytes([byte]))
            self.assertEqual(b"abc", client.response().body)

    def check_underscore(self, action, status, name):
        self.gateway(common_http_protocol_options={"headers_with_underscores_action": action})
        self.assertEqual(0, self.proxy.stat("http1." + name))
        self.assertEqual(status, self.ask("GET", "/", "h", [("x_y", "1"), ("x-y", "2")]).status)
        self.proxy.wait_stat("http1." + name, 1)

    def test_dropped_underscores_are_counted(self):
        self.check_underscore("DROP_HEADER", 200, "dropped_headers_with_underscores")

    def test_rejected_underscores_are_counted(self):
        self.check_underscore("REJECT_REQUEST", 400, "requests_rejected_with_underscores_in_headers")

    def test_head(self):
        self.gateway(ok(b"x" * 1234))
        with self.client() as client:
            answer = client.ask("HEAD", "/", "h")
            self.assertEqual((200, "1234", b""), (answer.status, answer.header("content-length"), answer.body))
            self.assertEqual(200, client.ask("GET", "/", "h").status)

    def test_statuses_without_body(self):
        self.gateway(lambda request: b"HTTP/1.1 %s x\r\n\r\n" % request.target[1:].encode())
        with self.client() as client:
            for status in (204, 304):
                answer = client.ask("GET", "/%d" % status, "h")
                self.assertEqual(status, answer.status)
                self.assertIsNone(answer.header("transfer-encoding"))

    def test_chunked_request_with_trailers(self):
        self.gateway(lambda request: ok(request.body), **{"http_protocol_options": {"enable_trailers": True}},
                     cluster_fields={"http_protocol_options": {"enable_trailers": True}})
        with self.client() as client:
            client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "5\r\nhello\r\n1;ext=1\r\n!\r\n0\r\nX-Sum: 42\r\n\r\n")
            self.assertEqual(b"hello!", client.response().body)
        self.assertEqual([("x-sum", "42")],
                         [(name.lower(), value) for name, value in self.upstream.requests[0].trailers])

    def test_chunked_response_with_trailers(self):
        self.gateway(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n"
                     b"5\r\nhello\r\n0\r\nx-sum: 42\r\n\r\n",
                     **{"http_protocol_options": {"enable_trailers": True}},
                     cluster_fields={"http_protocol_options": {"enable_trailers": True}})
        with self.client() as client:
            answer = client.ask("GET", "/", "h")
            self.assertEqual(b"hello", answer.body)
            self.assertEqual([("x-sum", "42")],
                             [(name.lower(), value) for name, value in answer.trailers])
            self.assertEqual(200, client.ask("GET", "/", "h").status)

    def test_response_until_close(self):
        self.gateway()
        self.upstream.close()
        origin = self.raw_origin(lambda wire: (wire.head(), wire.send("HTTP/1.1 200 OK\r\n\r\nuntil the end")))
        manager = config.http([config.forward("origin")])
        other = self.start(config.bootstrap(config.listener(manager), [config.cluster("origin", origin.port)]))
        with Client(other.port()) as client:
            answer = client.ask("GET", "/", "h")
            self.assertEqual((200, b"until the end"), (answer.status, answer.body))

    def test_http_1_0_client(self):
        self.gateway()
        with self.client() as client:
            client.send("GET / HTTP/1.0\r\nHost: h\r\n\r\n")
            answer = client.response()
            self.assertEqual((426, "Upgrade Required"), (answer.status, answer.text()))
            self.assertTrue(client.at_eof())
        self.assertEqual(("DPE", "low_version"), (self.log()["flags"], self.log()["details"]))

    def test_http_1_0_client_accepted(self):
        self.gateway(http_protocol_options={"accept_http_10": True, "default_host_for_http_10": "d"})
        with self.client() as client:
            client.send("GET / HTTP/1.0\r\n\r\n")
            answer = client.response()
            self.assertEqual((200, b"hello"), (answer.status, answer.body))
            self.assertTrue(client.at_eof())
        self.assertEqual("d", self.upstream.requests[0].header("host"))

    def test_http_1_0_origin(self):
        self.gateway(b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi")
        for _ in range(2):
            answer = self.ask("GET", "/", "h")
            self.assertEqual((200, b"hi"), (answer.status, answer.body))
        wait_for(lambda: self.upstream.connections == 2)

    def test_expect_continue(self):
        self.gateway(lambda request: ok(request.body))
        with self.client() as client:
            client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
            self.assertEqual(100, client.response().status)
            client.send("body")
            answer = client.response()
            self.assertEqual((200, b"body"), (answer.status, answer.body))

    def test_early_hints_are_passed_on(self):
        self.gateway(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + ok(b"done"),
                     **({"proxy_100_continue": True} if IS_ENVOY else {}))
        with self.client() as client:
            client.request("GET", "/", "h")
            answer = client.response()
            if answer.status == 103:
                answer = client.response()
            self.assertEqual((200, b"done"), (answer.status, answer.body))

    def test_asterisk(self):
        self.gateway()
        answer = self.ask("OPTIONS", "*", "h")
        if IS_ENVOY:
            self.assertEqual(404, answer.status)
        else:
            self.assertIn(answer.status, (200, 404))

    def test_answer_before_the_body_is_read(self):
        early = []

        def serve(wire):
            early.append(wire.head())
            wire.send("HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        origin = self.raw_origin(serve)
        manager = config.http([config.forward("origin")])
        self.start(config.bootstrap(config.listener(manager), [config.cluster("origin", origin.port)]))
        with self.client() as client:
            client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nstart")
            self.assertEqual(413, client.response().status)

    def test_regression_an_answer_instead_of_100_says_that_the_connection_ends(self):
        def serve(wire):
            wire.head()
            wire.send("HTTP/1.1 401 Who\r\ncontent-length: 2\r\n\r\nno")
        origin = self.raw_origin(serve)
        manager = config.http([config.forward("origin")], proxy_100_continue=True)
        self.start(config.bootstrap(config.listener(manager), [config.cluster("origin", origin.port)]))
        with self.client() as client:
            client.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
            answer = client.response("POST")
            self.assertEqual((401, b"no", "close"), (answer.status, answer.body, answer.header("connection")))

    def test_smuggling_forms(self):
        self.gateway()
        for head, status in (
                ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400),
                ("Content-Length: 5\r\nContent-Length: 6\r\n", 400),
                ("Content-Length: +5\r\n", 400),
                ("Content-Length: 5 5\r\n", 400),
                ("Transfer-Encoding: gzip\r\n", 501),
                ("Transfer-Encoding: chunked, chunked\r\n", 501 if IS_ENVOY else 400),
                ("X\x00Y: 1\r\n", 400),
                ("Bad Name: 1\r\n", 400)):
            with self.subTest(head=head):
                with self.client() as client:
                    client.send("POST / HTTP/1.1\r\nHost: h\r\n%s\r\n0\r\n\r\n" % head)
                    answer = client.response()
                    if IS_ENVOY:
                        self.assertEqual(status, answer.status)
                    else:
                        self.assertIn(answer.status, (400, 501))
                    self.assertTrue(client.at_eof())
        self.assertEqual([], self.upstream.requests)

    def test_limits_of_heads(self):
        self.gateway(max_request_headers_kb=8)
        with self.client() as client:
            client.send("GET / HTTP/1.1\r\nHost: h\r\nX: %s\r\n\r\n" % ("x" * 20000))
            self.assertEqual(431, client.response().status)
        with self.client() as client:
            client.send("GET / HTTP/1.1\r\nHost: h\r\n%s\r\n" % ("a: b\r\n" * 150))
            self.assertEqual(431, client.response().status)
        details = [entry["details"] for entry in self.logs(2)]
        self.assertEqual(["http1.headers_too_large", "http1.too_many_headers"], details)

    def test_garbage(self):
        self.gateway()
        for data in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64, b"nonsense\r\n\r\n",
                     b"GET / HTTP/9.9.9\r\n\r\n"):
            with self.subTest(data=data):
                with self.client() as client:
                    client.send(data)
                    self.assertEqual(400, client.response().status)
                    self.assertTrue(client.at_eof())

    def test_half_a_head_times_out(self):
        self.gateway(request_headers_timeout="0.3s")
        with self.client() as client:
            client.send("GET / HTTP/1.1\r\nHos")
            self.assertEqual(408, client.response().status)
            self.assertTrue(client.at_eof())

    def test_idle_connection_is_closed(self):
        self.gateway(common_http_protocol_options={"idle_timeout": "0.3s"})
        with self.client() as client:
            self.assertTrue(client.at_eof())
        self.proxy.wait_stat("http.ingress.downstream_cx_idle_timeout", 1)

    def test_a_connection_that_is_too_old_may_ask_once_more(self):
        self.gateway(drain_timeout="8s", common_http_protocol_options={"max_connection_duration": "0.3s"})
        with self.client() as idle:
            self.assertEqual(200, idle.ask("GET", "/", "h").status)
            with self.client() as busy:
                # The younger one is told to end: the other one is too old as well.
                wait_for(lambda: busy.ask("GET", "/", "h").header("connection") == "close", 5)
            answer = idle.ask("GET", "/", "h")
            self.assertEqual((200, "close"), (answer.status, answer.header("connection")))
            self.assertTrue(idle.at_eof())
        self.proxy.wait_stat("http.ingress.downstream_cx_max_duration_reached", 2)

    def test_a_connection_that_is_too_old_and_asks_nothing_ends(self):
        self.gateway(drain_timeout="0.1s", common_http_protocol_options={"max_connection_duration": "0.3s"})
        with self.client() as client:
            self.assertEqual(200, client.ask("GET", "/", "h").status)
            self.assertTrue(client.at_eof())
        self.proxy.wait_stat("http.ingress.downstream_cx_max_duration_reached", 1)

    def test_fin_after_the_request(self):
        """A client may say with FIN that it sends no more; its answer still comes."""
        if IS_ENVOY:
            self.skipTest("Envoy drops the request")
        self.gateway()
        with self.client() as client:
            client.request("GET", "/", "h")
            client.finish()
            self.assertEqual(200, client.response().status)

    def test_client_leaves_in_the_middle_of_its_body(self):
        self.gateway()
        with self.client() as client:
            client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nstart")
            self.proxy.wait_stat("cluster.origin.upstream_rq_active", 1)
        self.proxy.wait_stat("cluster.origin.upstream_rq_active", 0)
        entry = self.log()
        self.assertEqual((0, "DC", "downstream_remote_disconnect"), (entry["code"], entry["flags"], entry["details"]))
        self.assertEqual(0, self.proxy.stat("http.ingress.downstream_rq_5xx"))

    def test_regression_a_client_that_ends_inside_its_body_is_not_answered(self):
        self.gateway()
        with self.client() as client:
            client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nstart")
            client.finish()
            self.assertEqual(b"", client.rest())

    def test_active_until_the_response_is_written(self):
        """downstream_rq_active counts a request as long as its response is on its way."""
        def serve(wire):
            wire.message()
            wire.send("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabc")
            go.wait(10)
            wire.send("def")
        go = threading.Event()
        origin = self.raw_origin(serve)
        self.start(config.bootstrap(config.listener(config.http([config.forward("origin")])), [config.cluster("origin", origin.port)]))
        client = self.client()
        client.request("GET", "/", "h")
        client.head()
        self.assertEqual(b"abc", client.read(3))
        self.proxy.wait_stat("http.ingress.downstream_rq_active", 1)
        go.set()
        self.assertEqual(b"def", client.read(3))
        self.proxy.wait_stat("http.ingress.downstream_rq_active", 0)

    def test_x_forwarded_for(self):
        self.gateway(use_remote_address=True)
        self.ask("GET", "/", "h", [("X-Forwarded-For", "203.0.113.9")])
        value = self.upstream.requests[0].header("x-forwarded-for")
        self.assertTrue(value.replace(" ", "").startswith("203.0.113.9,"), value)

    def test_request_id(self):
        self.gateway()
        self.ask("GET", "/", "h")
        self.assertRegex(self.upstream.requests[0].header("x-request-id"),
                         r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")

    def test_server_and_via(self):
        self.gateway(server_name="egress-1", via="gate")
        answer = self.ask("GET", "/", "h")
        self.assertEqual("egress-1", answer.header("server"))
        self.assertIn("gate", answer.header("via"))
        self.assertIn("gate", self.upstream.requests[0].header("via"))


if __name__ == "__main__":
    unittest.main()
