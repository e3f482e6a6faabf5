"""The overload manager: what is shed under pressure, step by step, and that it ends with the pressure."""
import os
import unittest

from test.support import config
from test.support.client import Client
from test.support.origin import ok
from test.support.proxy import IS_ENVOY, ProxyTest
from test.support.wait import wait_for

MONITORS = "envoy.extensions.resource_monitors."
INJECTED = "envoy.resource_monitors.injected_resource"
CONNECTIONS = "envoy.resource_monitors.global_downstream_max_connections"


def monitor(name, message, **fields):
    return config.typed(name, message, **fields)


def connections(most):
    return monitor(CONNECTIONS, MONITORS + "downstream_connections.v3.DownstreamConnectionsConfig",
                   max_active_downstream_connections=most)


def action(name, resource=INJECTED, value=0.9):
    return {"name": "envoy.overload_actions." + name, "triggers": [{"name": resource, "threshold": {"value": value}}]}


TIMERS = config.TYPES + "envoy.config.overload.v3.ScaleTimersOverloadActionConfig"


def reduce_timeouts(*timers, resource=INJECTED, **trigger):
    """The action that makes timeouts shorter; `timers` are (name, how short) pairs."""
    return {"name": "envoy.overload_actions.reduce_timeouts",
            "triggers": [{"name": resource, **(trigger or {"threshold": {"value": 0.9}})}],
            "typed_config": {"@type": TIMERS, "timer_scale_factors": [{"timer": name, **least} for name, least in timers]}}


def point(name, value=0.9):
    """A load shed point."""
    return {"name": "envoy.load_shed_points." + name, "triggers": [{"name": INJECTED, "threshold": {"value": value}}]}


def turned_away(port):
    """Whether a new connection is ended at once, gently or not."""
    try:
        with Client(port) as client:
            return client.socket.recv(1) == b""
    except (ConnectionResetError, BrokenPipeError):
        return True


class Overload(ProxyTest):
    """Every action, by a pressure that the test chooses."""

    def serve(self, *actions, monitors=(), listeners=None, points=(), clusters=(), **keywords):
        self.pressure = os.path.join(self.files, "pressure")
        self.press(0)
        injected = monitor(INJECTED, MONITORS + "injected_resource.v3.InjectedResourceConfig", filename=self.pressure)
        content = config.bootstrap(listeners or config.listener(config.http([config.direct(200, "ok")], log=self.log_path), stat_prefix="main"),
                                   clusters, overload_manager={"refresh_interval": "0.02s", "resource_monitors": [injected, *monitors],
                                                     "actions": list(actions), "loadshed_points": list(points)})
        return self.start(content, **keywords)

    def press(self, value):
        """Sets the pressure. By renaming: the proxy never reads half of it (and Envoy only sees it that way)."""
        with open(self.pressure + ".new", "w", encoding="ascii") as file:
            file.write(str(value))
        os.rename(self.pressure + ".new", self.pressure)

    def active(self, name, value=1):
        self.proxy.wait_stat("overload.envoy.overload_actions.%s.active" % name, value)

    def test_stop_accepting_requests(self):
        self.serve(action("stop_accepting_requests"))
        client = self.client()
        self.assertEqual(200, client.ask("GET", "/", "h").status)
        self.press(1)
        self.active("stop_accepting_requests")
        for _ in range(2):
            answer = client.ask("GET", "/", "h")
            self.assertEqual((503, b"envoy overloaded"), (answer.status, answer.body))
        self.press(0)
        self.active("stop_accepting_requests", 0)
        self.assertEqual(200, client.ask("GET", "/", "h").status)
        self.proxy.wait_stat("http.ingress.downstream_rq_overload_close", 2)
        refused = [entry for entry in self.logs(4) if entry["code"] == 503]
        self.assertEqual(2, len(refused))
        if not IS_ENVOY:
            self.assertEqual(["overload", "OM"], [refused[0]["details"], refused[0]["flags"]])

    def test_disable_http_keepalive(self):
        self.serve(action("disable_http_keepalive"))
        client = self.client()
        self.assertIsNone(client.ask("GET", "/", "h").header("connection"))
        self.press(1)
        self.active("disable_http_keepalive")
        answer = client.ask("GET", "/", "h")
        self.assertEqual((200, "close"), (answer.status, answer.header("connection")))
        if not IS_ENVOY:
            self.assertTrue(client.at_eof())
        self.proxy.wait_stat("http.ingress.downstream_cx_overload_disable_keepalive", 1)
        self.press(0)
        self.active("disable_http_keepalive", 0)
        self.assertIsNone(self.ask("GET", "/", "h").header("connection"))

    def test_stop_accepting_connections(self):
        self.serve(action("stop_accepting_connections"), listeners=[
            config.listener(config.http([config.direct(200, "ok")])),
            config.listener(config.http([config.direct(200, "ok")], prefix="always"), name="always", bypass_overload_manager=True)])
        with self.client() as old:
            self.assertEqual(200, old.ask("GET", "/", "h").status)
            self.press(1)
            self.active("stop_accepting_connections")
            accepted = self.proxy.stat("http.ingress.downstream_cx_total")
            waiting = self.client()
            waiting.request("GET", "/", "h")
            # The old connection and the listener that bypasses it are served meanwhile.
            for _ in range(20):
                self.assertEqual(200, old.ask("GET", "/", "h").status)
            with Client(self.proxy.port("always")) as other:
                self.assertEqual(200, other.ask("GET", "/", "h").status)
            self.assertEqual(accepted, self.proxy.stat("http.ingress.downstream_cx_total"))
            self.press(0)
            # It was waiting in the system's queue.
            self.assertEqual(200, waiting.response().status)

    def test_reject_incoming_connections(self):
        self.serve(action("reject_incoming_connections"))
        old = self.client()
        self.assertEqual(200, old.ask("GET", "/", "h").status)
        self.press(1)
        self.active("reject_incoming_connections")
        for _ in range(3):
            self.assertTrue(turned_away(self.proxy.port()))
        self.assertEqual(200, old.ask("GET", "/", "h").status)
        self.proxy.wait_stat("listener.main.downstream_cx_overload_reject", 3)
        self.press(0)
        self.active("reject_incoming_connections", 0)
        self.assertEqual(200, self.ask("GET", "/", "h").status)

    def test_shrink_heap(self):
        self.serve(action("shrink_heap"))
        self.press(1)
        self.proxy.wait_stat("overload.envoy.overload_actions.shrink_heap.shrink_count", 1, 15)
        self.assertEqual(200, self.ask("GET", "/", "h").status)

    def serve_reduced(self, timer, least, origin=None, trigger=None, **manager):
        """A manager of which `timer` becomes as short as `least` under pressure."""
        route = config.direct(200, "ok") if origin is None else config.forward("c")
        http = config.http([route], log=self.log_path, **manager)
        clusters = [] if origin is None else [config.cluster("c", origin.port)]
        self.serve(reduce_timeouts((timer, least), **(trigger or {})), listeners=config.listener(http), clusters=clusters)

    def test_reduce_idle_timeout(self):
        # The trigger scales, so half the pressure leaves half an hour.
        self.serve_reduced("HTTP_DOWNSTREAM_CONNECTION_IDLE", {"min_timeout": "0.1s"},
                           trigger={"scaled": {"scaling_threshold": 0.1, "saturation_threshold": 0.9}})
        clients = [self.client() for _ in range(3)]
        for client in clients:
            self.assertEqual(200, client.ask("GET", "/", "h").status)
        self.press(0.5)
        self.proxy.wait_stat("overload.envoy.overload_actions.reduce_timeouts.scale_percent", 50)
        self.assertEqual(0, self.proxy.stat("overload.envoy.overload_actions.reduce_timeouts.active"))
        for client in clients:
            self.assertEqual(200, client.ask("GET", "/", "h").status)
        self.assertEqual(0, self.proxy.stat("http.ingress.downstream_cx_idle_timeout"))
        self.press(1)
        # What is idle already, and what becomes idle only then.
        for client in clients:
            self.assertTrue(client.at_eof())
        late = self.client()
        self.active("reduce_timeouts")
        self.assertEqual(200, late.ask("GET", "/", "h").status)
        self.assertTrue(late.at_eof())
        self.proxy.wait_stat("http.ingress.downstream_cx_idle_timeout", 4)
        self.press(0)
        self.active("reduce_timeouts", 0)
        self.assertEqual(200, self.ask("GET", "/", "h").status)

    def test_reduce_stream_idle_timeout(self):
        origin = self.raw_origin(lambda wire: wire.rest())
        self.serve_reduced("HTTP_DOWNSTREAM_STREAM_IDLE", {"min_scale": {"value": 0}}, origin=origin)
        client = self.client()
        client.request("GET", "/", "h")
        self.proxy.wait_stat("cluster.c.upstream_rq_total", 1)
        self.press(1)
        self.assertEqual(504, client.response().status)
        self.proxy.wait_stat("http.ingress.downstream_rq_idle_timeout", 1)
        self.assertEqual("SI", self.log()["flags"])

    def test_reduce_connection_duration(self):
        self.serve_reduced("HTTP_DOWNSTREAM_CONNECTION_MAX", {"min_timeout": "0.1s"}, drain_timeout="0.1s",
                           common_http_protocol_options={"max_connection_duration": "300s"})
        client = self.client()
        self.assertEqual(200, client.ask("GET", "/", "h").status)
        self.press(1)
        self.assertTrue(client.at_eof())
        self.proxy.wait_stat("http.ingress.downstream_cx_max_duration_reached", 1)

    def shed(self, name):
        """Opens a connection, has the pressure rise, and waits until the point sheds."""
        self.serve(points=[point(name)])
        old = self.client()
        self.assertEqual(200, old.ask("GET", "/", "h").status)
        self.press(1)
        self.proxy.wait_stat("overload.envoy.load_shed_points.%s.scale_percent" % name, 100)
        return old

    def has_shed(self, name, count):
        self.proxy.wait_stat("overload.envoy.load_shed_points.%s.shed_load_count" % name, count)
        self.press(0)
        self.proxy.wait_stat("overload.envoy.load_shed_points.%s.scale_percent" % name, 0)
        self.assertEqual(200, self.ask("GET", "/", "h").status)
        self.assertEqual(count, self.proxy.stat("overload.envoy.load_shed_points.%s.shed_load_count" % name))

    def test_shed_at_accept(self):
        old = self.shed("tcp_listener_accept")
        self.assertTrue(turned_away(self.proxy.port()))
        self.assertEqual(200, old.ask("GET", "/", "h").status)
        self.proxy.wait_stat("listener.main.downstream_cx_overload_reject", 1)
        self.has_shed("tcp_listener_accept", 1)

    def test_shed_at_first_bytes(self):
        old = self.shed("hcm_ondata_creating_codec")
        self.assertEqual(200, old.ask("GET", "/", "h").status)
        with self.client() as client:
            client.request("GET", "/", "h")
            if not IS_ENVOY:  # which leaves the connection open and silent
                self.assertTrue(client.at_eof())
            self.proxy.wait_stat("http.ingress.downstream_rq_overload_close", 1)
        self.has_shed("hcm_ondata_creating_codec", 1)

    def test_shed_at_dispatch(self):
        old = self.shed("http1_server_abort_dispatch")
        for client in (old, self.client()):
            answer = client.ask("GET", "/", "h")
            self.assertEqual((500, b"Internal Server Error", "close"),
                             (answer.status, answer.body, answer.header("connection")))
            self.assertTrue(client.at_eof())
        self.proxy.wait_stat("http.ingress.downstream_rq_overload_close", 2)
        self.has_shed("http1_server_abort_dispatch", 2)
        refused = [entry for entry in self.logs(4) if entry["code"] == 500]
        self.assertEqual([("overload", "DPE")] * 2, [(entry["details"], entry["flags"]) for entry in refused])

    def test_shed_at_decode(self):
        old = self.shed("http_connection_manager_decode_headers")
        for client in (old, self.client()):
            answer = client.ask("GET", "/", "h")
            self.assertEqual((503, b"envoy overloaded"), (answer.status, answer.body))
        self.proxy.wait_stat("http.ingress.downstream_rq_overload_close", 2)
        self.has_shed("http_connection_manager_decode_headers", 2)

    def test_shed_at_router(self):
        # Of requests that are to be forwarded.
        self.serve(listeners=config.listener(config.http([config.direct(200, prefix="/d"), config.forward("c")], log=self.log_path)),
                   clusters=[config.cluster("c", self.origin().port)], points=[point("http_downstream_filter_check")])
        self.press(1)
        self.proxy.wait_stat("overload.envoy.load_shed_points.http_downstream_filter_check.scale_percent", 100)
        self.assertEqual(200, self.ask("GET", "/d", "h").status)
        answer = self.ask("GET", "/", "h")
        self.assertEqual((503, b"envoy overloaded"), (answer.status, answer.body))
        self.proxy.wait_stat("http.ingress.rq_overload_local_reply", 1)
        self.assertEqual(("overload", 0), (self.log(count=2)["details"], self.proxy.stat("cluster.c.upstream_rq_total")))
        self.has_shed("http_downstream_filter_check", 1)

    def test_scaled(self):
        self.serve({"name": "envoy.overload_actions.stop_accepting_requests", "triggers": [
            {"name": INJECTED, "scaled": {"scaling_threshold": 0.5, "saturation_threshold": 0.9}}]})
        self.press(0.7)
        self.proxy.wait_stat("overload.envoy.overload_actions.stop_accepting_requests.scale_percent",
                             50 if IS_ENVOY else 49)
        self.assertEqual(0, self.proxy.stat("overload.envoy.overload_actions.stop_accepting_requests.active"))
        with self.client() as client:
            statuses = [client.ask("GET", "/", "h").status for _ in range(400)]
        self.assertEqual({200, 503}, set(statuses))
        # Half of 400: ten standard deviations on either side.
        self.assertTrue(100 < statuses.count(503) < 300, statuses.count(503))

    def test_max_connections(self):
        self.serve(monitors=[connections(3)], listeners=[
            config.listener(config.http([config.direct(200, "ok")]), stat_prefix="main"),
            config.listener(config.http([config.direct(200, "ok")], prefix="free"), name="free", ignore_global_conn_limit=True)])
        held = [self.client() for _ in range(3)]
        for client in held:
            self.assertEqual(200, client.ask("GET", "/", "h").status)
        for _ in range(2):
            self.assertTrue(turned_away(self.proxy.port()))
        self.proxy.wait_stat("listener.main.downstream_global_cx_overflow", 2)
        with Client(self.proxy.port("free")) as other:
            self.assertEqual(200, other.ask("GET", "/", "h").status)
        if not IS_ENVOY:
            self.proxy.wait_stat("overload.%s.pressure" % CONNECTIONS, 100)
        held.pop().close()
        self.proxy.wait_stat("http.ingress.downstream_cx_active", 2)
        self.assertEqual(200, self.ask("GET", "/", "h").status)

    @unittest.skipIf(IS_ENVOY, "ours")
    def test_descriptors(self):
        name = "sluice.resource_monitors.file_descriptors"
        self.serve(action("disable_http_keepalive", name, 0.8),
                   monitors=[monitor(name, "sluice.overload.v1.FileDescriptorsConfig", max_descriptors=200)])
        self.assertIsNone(self.ask("GET", "/", "h").header("connection"))
        held = [self.client() for _ in range(180)]
        self.active("disable_http_keepalive")
        self.assertEqual("close", self.ask("GET", "/", "h").header("connection"))
        for client in held:
            client.close()
        self.active("disable_http_keepalive", 0)

    def test_memory(self):
        heap = monitor("envoy.resource_monitors.fixed_heap", MONITORS + "fixed_heap.v3.FixedHeapConfig", max_heap_size_bytes=1000)
        self.serve(action("stop_accepting_requests", "envoy.resource_monitors.fixed_heap", 1), monitors=[heap])
        self.active("stop_accepting_requests")
        self.assertEqual(503, self.ask("GET", "/", "h").status)
        self.assertGreater(self.proxy.stat("overload.envoy.resource_monitors.fixed_heap.pressure"), 100)

    @unittest.skipIf(IS_ENVOY, "there it is refused by the admin's listener, too")
    def test_admin_is_never_shed(self):
        names = ("stop_accepting_requests", "reject_incoming_connections", "disable_http_keepalive")
        self.serve(*[action(name) for name in names])
        self.press(1)
        for name in names:
            self.active(name)
        self.assertEqual(200, self.proxy.admin("/ready").status)

    def test_tunnel_and_body_survive(self):
        """What has begun goes on to its end, whatever is shed."""
        origin = self.raw_origin(lambda wire: wire.send(wire.read(7)))
        slow = self.origin(lambda request: ok(request.body))
        self.pressure = os.path.join(self.files, "pressure")
        self.press(0)
        content = config.forward_proxy(self.names())
        content["overload_manager"] = {
            "refresh_interval": "0.02s",
            "resource_monitors": [monitor(INJECTED, MONITORS + "injected_resource.v3.InjectedResourceConfig",
                                          filename=self.pressure)],
            "actions": [action(name) for name in ("stop_accepting_requests", "reject_incoming_connections",
                                                  "disable_http_keepalive", "stop_accepting_connections", "shrink_heap")]}
        self.start(content)
        with self.client() as tunnel, self.client() as upload:
            tunnel.request("CONNECT", "127.0.0.1:%d" % origin.port)
            self.assertEqual(200, tunnel.head().status)
            upload.send("POST / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: 10\r\n\r\nhello" % slow.port)
            wait_for(lambda: slow.connections, 5, "the upload at its origin")
            self.press(1)
            self.active("stop_accepting_requests")
            tunnel.send("through")
            self.assertEqual(b"through", tunnel.read(7))
            upload.send("world")
            answer = upload.response()
            self.assertEqual((200, b"helloworld", "close"), (answer.status, answer.body, answer.header("connection")))


class Refused(ProxyTest):
    """Configurations that promise what is not there."""

    def refuse(self, text, **fields):
        manager = {"resource_monitors": [connections(3)], **fields}
        with self.assertRaisesRegex(AssertionError, text):
            self.start(config.bootstrap(config.listener(config.http([config.direct(200)])), overload_manager=manager))

    def test_unknown(self):
        self.refuse("Unknown Overload Manager Action", actions=[action("x", CONNECTIONS)])
        self.refuse("Unknown trigger resource", actions=[action("shrink_heap", "x")])
        self.refuse("Duplicate resource monitor", resource_monitors=[connections(3), connections(3)])

    def test_timers(self):
        idle = ("HTTP_DOWNSTREAM_CONNECTION_IDLE", {"min_timeout": "1s"})
        reduce = reduce_timeouts(idle, resource=CONNECTIONS)
        self.refuse('Overload action "envoy.overload_actions.reduce_timeouts" requires typed_config',
                    actions=[action("reduce_timeouts", CONNECTIONS)])
        self.refuse("Found duplicate entry for timer type HTTP_DOWNSTREAM_CONNECTION_IDLE",
                    actions=[reduce_timeouts(idle, idle, resource=CONNECTIONS)])
        self.refuse('"envoy.overload_actions.shrink_heap" conflicts with its typed config',
                    actions=[{**action("shrink_heap", CONNECTIONS), "typed_config": reduce["typed_config"]}])
        self.refuse("overload_adjust|one of min_timeout, min_scale must be set", actions=[reduce_timeouts((idle[0], {}), resource=CONNECTIONS)])
        self.refuse("(?i)timer_?scale_?factors", actions=[reduce_timeouts(resource=CONNECTIONS)])

    @unittest.skipIf(IS_ENVOY, "supported there")
    def test_unsupported(self):
        self.refuse("Unknown load shed point envoy.load_shed_points.http2_server_go_away_on_dispatch",
                    loadshed_points=[point("http2_server_go_away_on_dispatch")])
        self.refuse("Unknown Overload Manager Action", actions=[action("reset_high_memory_stream", CONNECTIONS)])
        for timer in ("TRANSPORT_SOCKET_CONNECT", "HTTP_DOWNSTREAM_STREAM_FLUSH"):
            self.refuse(r"actions\[0\].typed_config.timer_scale_factors\[0\].timer: %s is not supported" % timer,
                        actions=[reduce_timeouts((timer, {"min_timeout": "1s"}), resource=CONNECTIONS)])


if __name__ == "__main__":
    unittest.main()
