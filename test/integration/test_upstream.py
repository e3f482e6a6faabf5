"""Origins that misbehave, connections that are reused or not, and the circuit breakers."""
import socket
import threading
import unittest

from test.support import config, names
from test.support.client import Client
from test.support.origin import closed_port, ok
from test.support.proxy import IS_ENVOY, ProxyTest
from test.support.wait import wait_for

CONNECT_ERROR = "upstream connect error or disconnect/reset before headers. reset reason: "
BEFORE = "upstream_reset_before_response_started{%s}"


class Upstream(ProxyTest):
    """A gateway in front of one origin of the test's making."""

    def gateway(self, port, action=None, cluster_fields=None, **fields):
        manager = config.http([config.forward("origin", action=action)], log=self.log_path, **fields)
        ports = port if isinstance(port, (list, tuple)) else [port]
        return self.start(config.bootstrap(config.listener(manager), [
            config.cluster("origin", *ports, **(cluster_fields or {}))]))

    def fails(self, status, reason, flag, details, method="GET", body=None):
        with Client(self.proxy.port()) as client:
            answer = client.ask(method, "/", "h", body=body)
            self.assertEqual((status, CONNECT_ERROR + reason), (answer.status, answer.text()))
        entry = self.log()
        self.assertEqual((status, flag, details), (entry["code"], entry["flags"], entry["details"]))

    def test_a_dead_connection_makes_room_for_its_successor(self):
        origin = self.raw_origin(lambda wire: (wire.head(), wire.send(ok(b"hi"))))  # Closes after each answer.
        self.gateway(origin.port, {"timeout": "5s"}, config.breakers(max_connections=1))
        with Client(self.proxy.port()) as client:
            for _ in range(20):
                self.assertEqual(200, client.ask("GET", "/", "h").status)

    def test_longest_head(self):
        """max_response_headers_kb of the cluster, below and above what is the limit without it."""
        def answer(wire):
            size = int(wire.head().header("x-size"))
            wire.send(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\nx-long: " + b"x" * size + b"\r\n\r\n")
        origin = self.raw_origin(answer)
        clusters = []
        for limit in (2, 100, None):
            options = config.idle_timeout(10)["typed_extension_protocol_options"]
            for one in options.values():
                one["common_http_protocol_options"] = {} if limit is None else {"max_response_headers_kb": limit}
            clusters.append(config.cluster("c%s" % limit, origin.port, typed_extension_protocol_options=options))
        routes = [config.forward(one["name"], prefix="/" + one["name"]) for one in clusters]
        self.start(config.bootstrap(config.listener(config.http(routes)), clusters))
        for limit, size, status in ((2, 1000, 200), (2, 3000, 502), (100, 90000, 200), (None, 80000, 200), (None, 90000, 502)):
            with self.subTest(limit=limit, size=size):
                self.assertEqual(status, self.ask("GET", "/c%s" % limit, "h", [("x-size", str(size))]).status)

    def test_refuses(self):
        port, holder = closed_port()
        with holder:
            self.gateway(port)
            self.fails(503, "remote connection failure", "UF", BEFORE %
                       "remote_connection_failure|delayed_connect_error:_Connection_refused")

    def test_connect_times_out(self):
        # A listener whose queue is full answers no SYN.
        listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.addCleanup(listener.close)
        port = listener.getsockname()[1]
        holders = []
        for _ in range(4):
            holder = socket.socket()
            holder.setblocking(False)
            holder.connect_ex(("127.0.0.1", port))
            holders.append(holder)
            self.addCleanup(holder.close)
        self.gateway(port, cluster_fields={"connect_timeout": "0.3s"})
        self.fails(503, "connection timeout", "UF", BEFORE % "connection_timeout")
        self.proxy.wait_stat("cluster.origin.upstream_cx_connect_timeout", 1)

    def test_closes_without_an_answer(self):
        origin = self.raw_origin(lambda wire: wire.head())
        self.gateway(origin.port)
        self.fails(503, "connection termination", "UC", BEFORE % "connection_termination",
                   "POST", b"body")

    def test_garbage(self):
        origin = self.raw_origin(lambda wire: (wire.head(), wire.send("SSH-2.0-OpenSSH_9.2\r\n\r\n"), wire.rest()))
        self.gateway(origin.port)
        self.fails(502, "protocol error", "UPE", BEFORE % "protocol_error")

    def test_cuts_its_body(self):
        origin = self.raw_origin(lambda wire: (
            wire.head(), wire.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this")))
        self.gateway(origin.port)
        with self.client() as client:
            client.request("GET", "/", "h")
            answer = client.head()
            self.assertEqual(200, answer.status)
            self.assertEqual(b"only this", client.rest())
        entry = self.log()
        self.assertEqual(200, entry["code"])
        self.assertIn(entry["flags"], ("UPE", "UC"))
        self.assertTrue(entry["details"].startswith("upstream_reset_after_response_started{"), entry)

    def test_cuts_a_chunked_body(self):
        origin = self.raw_origin(lambda wire: (
            wire.head(), wire.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")))
        self.gateway(origin.port)
        with self.client() as client:
            client.request("GET", "/", "h")
            client.head()
            self.assertNotIn(b"0\r\n\r\n", client.rest(), "a cut body must not look complete")

    def test_route_timeout(self):
        origin = self.raw_origin(lambda wire: (wire.head(), wire.rest()))
        self.gateway(origin.port, action={"timeout": "0.3s"})
        with self.client() as client:
            answer = client.ask("GET", "/", "h")
            self.assertEqual((504, "upstream request timeout"), (answer.status, answer.text()))
        entry = self.log()
        self.assertEqual(("UT", "response_timeout"), (entry["flags"], entry["details"]))
        self.proxy.wait_stat("cluster.origin.upstream_rq_timeout", 1)

    def test_stream_idle_timeout(self):
        origin = self.raw_origin(lambda wire: (wire.head(), wire.rest()))
        self.gateway(origin.port, stream_idle_timeout="0.3s")
        answer = self.ask("GET", "/", "h")
        self.assertEqual((504, "stream timeout"), (answer.status, answer.text()))
        self.assertEqual("SI", self.log()["flags"])

    def test_limits_of_a_complete_request_keep_the_connection(self):
        origin = self.raw_origin(lambda wire: (wire.message(), wire.rest()))
        limit = {"max_stream_duration": {"max_stream_duration": "0.3s"}}
        self.start(config.bootstrap(config.listener(config.http(
            [config.forward("origin", prefix="/duration", action=limit),
             config.forward("origin", prefix="/idle", action={"idle_timeout": "0.3s"}),
             config.forward("origin", prefix="/timeout", action={"timeout": "0.3s"}), config.direct(200, "in")],
            log=self.log_path)), [config.cluster("origin", origin.port)]))
        with self.client() as client:
            for path, body in (("/duration", None), ("/idle", b"body"), ("/timeout", b"body"), ("/duration", b"body")):
                answer = client.ask("POST", path, "h", body=body)
                self.assertEqual((504, None), (answer.status, answer.header("connection")), path)
            self.assertEqual("in", client.ask("GET", "/", "h").text())
        self.proxy.wait_stat("http.ingress.downstream_cx_total", 1)
        self.proxy.wait_stat("http.ingress.downstream_rq_max_duration_reached", 2)
        self.proxy.wait_stat("http.ingress.downstream_rq_idle_timeout", 1)
        entry = self.logs(5)[0]
        self.assertEqual(("-", "max_duration_timeout"), (entry["flags"] or "-", entry["details"]))

    def test_regression_limits_of_a_request_whose_body_waits_for_a_connection(self):
        origin = self.raw_origin(lambda wire: (wire.head(), wire.rest()))
        limit = {"max_stream_duration": {"max_stream_duration": "0.3s"}}
        self.start(config.bootstrap(config.listener(config.http(
            [config.forward("origin", prefix="/duration", action=limit),
             config.forward("origin", prefix="/idle", action={"idle_timeout": "0.3s"}),
             config.forward("origin", prefix="/timeout", action={"timeout": "0.3s"}), config.forward("origin")],
            request_timeout="0.2s", log=self.log_path)),
            [config.cluster("origin", origin.port, **config.breakers(max_connections=1))]), concurrency=1)
        with self.client() as holder, self.client() as client:
            holder.request("GET", "/", "h")
            self.proxy.wait_stat("cluster.origin.upstream_rq_active", 1)
            for path in ("/duration", "/idle", "/timeout"):
                answer = client.ask("POST", path, "h", body=b"body")
                self.assertEqual((504, None), (answer.status, answer.header("connection")), path)
        self.proxy.wait_stat("http.ingress.downstream_cx_total", 2)
        self.proxy.wait_stat("cluster.origin.upstream_rq_timeout", 1)
        self.assertEqual(0, self.proxy.stat("http.ingress.downstream_rq_timeout"))

    def test_regression_limits_of_an_attempt_begin_with_its_connection(self):
        go = threading.Event()

        def serve(wire):
            while wire.head():
                go.wait(20)
                wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        self.addCleanup(go.set)
        policy = {"retry_on": "5xx", "per_try_timeout": "0.2s", "per_try_idle_timeout": "0.2s"}
        self.start(config.bootstrap(config.listener(config.http(
            [config.forward("origin", prefix="/try", action={"retry_policy": policy}),
             config.forward("origin", prefix="/clock", action={"timeout": "0.6s"}), config.forward("origin")])),
            [config.cluster("origin", self.raw_origin(serve).port, **config.breakers(max_connections=1))]), concurrency=1)
        with self.client() as holder, self.client() as client, self.client() as clock:
            holder.request("GET", "/", "h")
            self.proxy.wait_stat("cluster.origin.upstream_rq_active", 1)
            client.request("GET", "/try", "h")
            self.proxy.wait_stat("cluster.origin.upstream_rq_pending_active", 1)
            self.assertEqual(504, clock.ask("GET", "/clock", "h").status)
            go.set()
            self.assertEqual(200, client.response().status)
        for limit in ("per_try_timeout", "per_try_idle_timeout", "retry"):
            self.assertEqual(0, self.proxy.stat("cluster.origin.upstream_rq_" + limit))

    def test_regression_a_refusal_inside_a_body_says_that_the_connection_ends(self):
        limit = config.typed("envoy.filters.http.buffer", "envoy.extensions.filters.http.buffer.v3.Buffer",
                             max_request_bytes=3)
        self.start(config.bootstrap(config.listener(config.http([config.direct(200, "in")], filters=[limit]))))
        with self.client() as client:
            client.send(b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n")
            answer = client.response()
            self.assertEqual((413, "close"), (answer.status, answer.header("connection")))
        self.proxy.wait_stat("http.ingress.downstream_rq_too_large", 1)

    def test_big_response_head(self):
        origin = self.origin(ok(b"x", "x-big: " + "y" * 100000))
        self.gateway(origin.port)
        answer = self.ask("GET", "/", "h")
        self.assertIn(answer.status, (502, 503))

    def test_connections_are_reused(self):
        origin = self.origin()
        self.gateway(origin.port)
        with self.client() as client:
            for _ in range(10):
                self.assertEqual(200, client.ask("GET", "/", "h").status)
        self.assertEqual(1, origin.connections)
        self.proxy.wait_stat("cluster.origin.upstream_cx_total", 1)

    def test_upstream_idle_timeout(self):
        origin = self.origin()
        self.gateway(origin.port, cluster_fields=config.idle_timeout(0.3))
        self.assertEqual(200, self.ask("GET", "/", "h").status)
        self.proxy.wait_stat("cluster.origin.upstream_cx_active", 0)
        self.proxy.wait_stat("cluster.origin.upstream_cx_idle_timeout", 1)

    def test_upstream_connection_duration(self):
        origin = self.origin()
        options = config.idle_timeout(300)
        for value in options["typed_extension_protocol_options"].values():
            value["common_http_protocol_options"]["max_connection_duration"] = "0.3s"
        self.gateway(origin.port, cluster_fields=options)
        self.assertEqual(200, self.ask("GET", "/", "h").status)
        # Nobody asks for it: its time ends it.
        self.proxy.wait_stat("cluster.origin.upstream_cx_active", 0)
        self.proxy.wait_stat("cluster.origin.upstream_cx_max_duration_reached", 1)

    def test_connection_close_of_the_origin(self):
        origin = self.origin(ok(b"x", "connection: close"))
        self.gateway(origin.port)
        with self.client() as client:
            for _ in range(3):
                answer = client.ask("GET", "/", "h")
                self.assertEqual(200, answer.status)
                self.assertNotEqual("close", answer.header("connection"), "one hop's business")
        self.assertEqual(3, origin.connections)

    def test_extra_bytes_after_an_answer(self):
        """A connection with bytes that nobody asked for is not used again."""
        def serve(wire):
            while True:
                wire.message()
                wire.send(ok(b"good"), "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")
        origin = self.raw_origin(serve)
        self.gateway(origin.port)
        with self.client() as client:
            for _ in range(5):
                answer = client.ask("GET", "/", "h")
                if IS_ENVOY and answer.status != 200:
                    continue
                self.assertEqual((200, b"good"), (answer.status, answer.body))
            # Each on a connection of its own.
        if not IS_ENVOY:
            self.assertEqual(5, origin.connections)

    @unittest.skipIf(IS_ENVOY, "Envoy answers 503 in this race")
    def test_kept_connection_that_the_origin_closes(self):
        """The origin closes as soon as the next request arrives: it is sent again on a new connection."""
        def serve(wire):
            wire.message()
            wire.send(ok(b"first"))
            wire.head()  # the request comes, the origin closes without a byte of answer
        origin = self.raw_origin(serve)
        self.gateway(origin.port)
        with self.client() as client:
            for _ in range(3):
                answer = client.ask("GET", "/", "h")
                self.assertEqual((200, b"first"), (answer.status, answer.body))
        self.assertEqual(3, origin.connections)

    @unittest.skipIf(IS_ENVOY, "Envoy answers 503 in this race")
    def test_kept_connection_and_a_post_with_body(self):
        """What may have had an effect is not sent twice."""
        bodies = []

        def serve(wire):
            wire.message()
            wire.send(ok(b"first"))
            bodies.append(wire.message().body)
        origin = self.raw_origin(serve)
        self.gateway(origin.port)
        with self.client() as client:
            self.assertEqual(200, client.ask("GET", "/", "h").status)
            self.assertEqual(503, client.ask("POST", "/", "h", body=b"pay").status)
        self.assertEqual([b"pay"], bodies)

    def test_round_robin(self):
        origins = [self.origin(ok(b"%d" % number)) for number in range(3)]
        self.gateway([origin.port for origin in origins])
        with self.client() as client:
            bodies = [client.ask("GET", "/", "h").body for _ in range(9)]
        self.assertEqual({b"0": 3, b"1": 3, b"2": 3}, {body: bodies.count(body) for body in set(bodies)})

    def test_retry_on_another_connection(self):
        answers = [None, ok(b"second")]
        origin = self.origin(lambda _: answers.pop(0))
        self.gateway(origin.port, action={"retry_policy": {"retry_on": "reset", "num_retries": 1}})
        answer = self.ask("GET", "/", "h")
        self.assertEqual((200, b"second"), (answer.status, answer.body))
        self.proxy.wait_stat("cluster.origin.upstream_rq_retry", 1)

    def retried_inside_its_body(self, first_answer):
        """The first attempt ends with `first_answer` while the proxy waits for the client's body."""
        again, bodies = threading.Event(), []

        def serve(wire):
            wire.head()
            if origin.connections == 1:
                wire.send(first_answer)
                return
            again.set()
            bodies.append(wire.read(5))
            wire.send(ok(b"second"))

        origin = self.raw_origin(serve)
        self.gateway(origin.port, action={"retry_policy": {"retry_on": "reset,5xx", "num_retries": 1}})
        with self.client() as client:
            client.send(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\n")
            self.assertTrue(again.wait(10))
            client.send(b"hello")
            answer = client.response("POST")
            self.assertEqual((200, b"second"), (answer.status, answer.body))
        self.assertEqual([b"hello"], bodies)
        self.proxy.wait_stat("cluster.origin.upstream_rq_retry_success", 1)

    def test_regression_retry_inside_the_body_after_an_end(self):
        self.retried_inside_its_body(b"")

    def test_regression_retry_inside_the_body_after_an_answer(self):
        self.retried_inside_its_body(b"HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n")

    def test_strict_dns(self):
        origin = self.origin()
        server = self.names({"origin.t": names.address("127.0.0.1")})
        cluster = config.cluster("origin", origin.port, address="origin.t", kind="STRICT_DNS",
                                 dns_lookup_family="V4_ONLY",
                                 typed_dns_resolver_config=config.resolver(server))
        self.start(config.bootstrap(config.listener(config.http([config.forward("origin")])), [cluster]))
        self.proxy.wait_stat("cluster.origin.membership_healthy", 1)
        self.assertEqual(200, self.ask("GET", "/", "h").status)

    def test_logical_dns_without_an_address(self):
        """No address is a failure, which is tried again at the rate of failures."""
        server = self.names({"origin.t": {}})
        cluster = config.cluster("origin", 80, address="origin.t", kind="LOGICAL_DNS", dns_lookup_family="V4_ONLY",
                                 dns_refresh_rate="3600s", typed_dns_resolver_config=config.resolver(server),
                                 dns_failure_refresh_rate={"base_interval": "0.01s", "max_interval": "0.02s"})
        self.start(config.bootstrap(config.listener(config.http([config.forward("origin")])), [cluster]))
        wait_for(lambda: self.proxy.stat("cluster.origin.update_failure") > 2)
        self.assertEqual(0, self.proxy.stat("cluster.origin.update_success"))

    def test_logical_dns(self):
        origin = self.origin()
        server = self.names({"origin.t": names.address("127.0.0.1")})
        cluster = config.cluster("origin", origin.port, address="origin.t", kind="LOGICAL_DNS",
                                 dns_lookup_family="V4_ONLY",
                                 typed_dns_resolver_config=config.resolver(server))
        self.start(config.bootstrap(config.listener(config.http([config.forward("origin")])), [cluster]))
        self.proxy.wait_stat("cluster.origin.membership_healthy", 1)
        self.assertEqual(200, self.ask("GET", "/", "h").status)


class Breakers(ProxyTest):
    """Circuit breakers and what they leave."""

    def gateway(self, port, **thresholds):
        manager = config.http([config.forward("origin")], log=self.log_path)
        return self.start(config.bootstrap(config.listener(manager), [
            config.cluster("origin", port, **config.breakers(track_remaining=True, **thresholds))]),
            concurrency=1)

    def waiting_origin(self):
        """An origin that answers when the test says so."""
        self.go = threading.Event()
        self.addCleanup(self.go.set)

        def answer(_):
            self.go.wait(10)
            return ok()
        return self.origin(answer)

    def remaining(self, what):
        return self.proxy.stat("cluster.origin.circuit_breakers.default.remaining_" + what)

    def test_remaining(self):
        origin = self.waiting_origin()
        self.gateway(origin.port, max_connections=40000, max_pending_requests=40000,
                     max_requests=40000, max_retries=40000)
        for what in ("cx", "pending", "rq", "retries"):
            self.assertEqual(40000, self.remaining(what), what)
        with self.client() as client:
            client.request("GET", "/", "h")
            prefix = "cluster.origin.circuit_breakers.default."
            self.proxy.wait_stat(prefix + "remaining_rq", 39999)
            self.proxy.wait_stat(prefix + "remaining_cx", 39999)
            self.go.set()
            self.assertEqual(200, client.response().status)
            self.proxy.wait_stat(prefix + "remaining_rq", 40000)

    def test_a_host_without_connections_has_one_beyond_the_limit(self):
        origins = [self.origin(), self.origin()]
        self.start(config.bootstrap(config.listener(config.http([config.forward("origin")])), [
            config.cluster("origin", *(origin.port for origin in origins), **config.breakers(max_connections=1))]),
            concurrency=1)
        for _ in range(2):
            self.assertEqual(200, self.ask("GET", "/", "h").status)
        self.assertEqual([1, 1], [origin.connections for origin in origins])
        self.proxy.wait_stat("cluster.origin.upstream_cx_overflow", 1)

    def overflow(self, counter):
        answer = self.ask("GET", "/", "h")
        self.assertEqual((503, CONNECT_ERROR + "overflow"), (answer.status, answer.text()))
        self.assertEqual("true", answer.header("x-envoy-overloaded"))
        entry = self.log()
        self.assertEqual(("UO", BEFORE % "overflow"), (entry["flags"], entry["details"]))
        self.proxy.wait_stat("cluster.origin." + counter, 1)

    def test_max_requests(self):
        origin = self.waiting_origin()
        self.gateway(origin.port, max_requests=1)
        with self.client() as client:
            client.request("GET", "/", "h")
            self.proxy.wait_stat("cluster.origin.circuit_breakers.default.rq_open", 1)
            self.overflow("upstream_rq_active_overflow")
            self.go.set()
            self.assertEqual(200, client.response().status)
        self.proxy.wait_stat("cluster.origin.circuit_breakers.default.rq_open", 0)
        self.assertEqual(200, self.ask("GET", "/", "h").status)

    def test_max_pending_requests(self):
        origin = self.waiting_origin()
        self.gateway(origin.port, max_connections=1, max_pending_requests=1)
        with self.client() as first, self.client() as second:
            first.request("GET", "/", "h")
            self.proxy.wait_stat("cluster.origin.circuit_breakers.default.cx_open", 1)
            wait_for(lambda: len(origin.requests) == 1)
            second.request("GET", "/", "h")
            self.proxy.wait_stat("cluster.origin.circuit_breakers.default.rq_pending_open", 1)
            self.overflow("upstream_rq_pending_overflow")
            self.go.set()
            self.assertEqual(200, first.response().status)
            self.assertEqual(200, second.response().status)
        self.assertEqual(1, origin.connections)


if __name__ == "__main__":
    unittest.main()
