"""The process: command line, validation of files, signals, and life without file descriptors."""
import contextlib
import json
import os
import re
import resource
import signal
import subprocess
import time
import unittest

from test.support import config
from test.support.client import Client
from test.support.origin import ok
from test.support.proxy import BINARY, IS_ENVOY, SANITIZER, SLOW, ProxyTest
from test.support.wait import wait_for

# What stands in a message of ours: file, line, column, path, what is wrong.
PROBLEM = re.compile(r"^(?P<file>[^:]+):(?P<line>\d+):(?P<column>\d+): (?P<path>[^: ]*): (?P<what>.+)$")

GOOD = """\
static_resources:
  listeners:
  - name: main
    address: { socket_address: { address: 127.0.0.1, port_value: 0 } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: ingress
          http_filters:
          - name: envoy.filters.http.router
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
          route_config:
            virtual_hosts:
            - name: any
              domains: ["*"]
              routes:
              - match: { prefix: / }
                route: { cluster: origin }
  clusters:
  - name: origin
    type: STATIC
    load_assignment:
      cluster_name: origin
      endpoints:
      - lb_endpoints:
        - endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: 1 } } }
"""


def line_of(text, where):
    """The number of the last line of `text` that has `where`."""
    return max(number for number, line in enumerate(text.splitlines(), 1) if where in line)


def run(*arguments, stdin=None):
    return subprocess.run([BINARY, *arguments], stdin=stdin or subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=30 * SLOW, text=True, check=False)


class Validate(ProxyTest):
    """--mode validate."""

    def validate(self, text, name="envoy.yaml", *arguments):
        path = os.path.join(self.files, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path, run("--mode", "validate", "-c", path, *arguments)

    def refused(self, text, where, path, what, column=None):
        """The one problem of `text` is in the line that has `where`, at `path`, and says `what`."""
        line = line_of(text, where)
        file, result = self.validate(text)
        self.assertEqual((1, ""), (result.returncode, result.stdout), result)
        if IS_ENVOY:
            return
        problems = [PROBLEM.match(one) for one in result.stderr.splitlines()]
        problems = [one for one in problems if one and one["file"] == file]
        self.assertEqual(1, len(problems), result.stderr)
        self.assertEqual((line, path), (int(problems[0]["line"]), problems[0]["path"]), result.stderr)
        if column is not None:
            self.assertEqual(column, int(problems[0]["column"]))
        self.assertRegex(problems[0]["what"], what)

    def test_good(self):
        path, result = self.validate(GOOD)
        self.assertEqual(0, result.returncode, result.stderr)
        self.assertEqual("configuration '%s' OK\n" % path, result.stdout)

    def test_good_json(self):
        path, result = self.validate(json.dumps(config.bootstrap(
            config.listener(config.http([config.direct(200)])))), "envoy.json")
        self.assertEqual((0, "configuration '%s' OK\n" % path), (result.returncode, result.stdout), result.stderr)

    def test_good_text_proto(self):
        path, result = self.validate('node { id: "a" }\n', "envoy.pb_text")
        self.assertEqual((0, "configuration '%s' OK\n" % path), (result.returncode, result.stdout), result.stderr)

    def test_unknown_field(self):
        self.refused(GOOD.replace("    type: STATIC", "    typo: STATIC"), "typo",
                     "static_resources.clusters[0]", "unknown field 'typo'.*did you mean 'type'", 5)

    def test_unknown_field_in_typed_config(self):
        # Two problems: the unknown field, and the required one that is absent.
        self.refused_among(GOOD.replace("stat_prefix:", "stat_prefx:"), "stat_prefx", "stat_prefx.*did you mean")

    def refused_among(self, text, where, what):
        """Some problem of `text` is in the line that has `where` and says `what`."""
        line = line_of(text, where)
        file, result = self.validate(text)
        self.assertEqual((1, ""), (result.returncode, result.stdout), result)
        if not IS_ENVOY:
            self.assertRegex(result.stderr, "(?m)^%s:%d:.*%s" % (re.escape(file), line, what))

    def test_unknown_type(self):
        self.refused(GOOD.replace("router.v3.Router", "router.v3.Rooter"), "Rooter",
                     "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.http_filters[0]"
                     ".typed_config", "unknown type.*did you mean 'envoy.extensions.filters.http.router.v3.Router'")

    def test_known_but_unsupported(self):
        text = GOOD.replace("envoy.extensions.filters.http.router.v3.Router",
                            "envoy.extensions.filters.http.wasm.v3.Wasm", 1)
        self.refused_among(text, "Wasm", "known Envoy type.*not support yet")

    def test_known_but_unsupported_field(self):
        field = "track_timeout_budgets"
        text = GOOD.replace("    type: STATIC", "    type: STATIC\n    %s: true" % field)
        if IS_ENVOY:
            self.skipTest("supported there")
        self.refused(text, field, "static_resources.clusters[0]", field + ".*not support")

    def test_regression_a_network_chain_ends_in_a_terminal_filter(self):
        limit = config.typed("envoy.filters.network.connection_limit",
                             "envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit",
                             stat_prefix="x", max_connections=1)
        for filters, place, what in (([limit], 0, "last filter must be a terminal one"),
                                     ([config.tcp("c"), limit], 0, "terminal filter must be the last"),
                                     ([config.tcp("c"), config.tcp("c")], 0, "terminal filter must be the last")):
            front = config.listener(limit)
            front["filter_chains"][0]["filters"] = filters
            _, result = self.validate(json.dumps(config.bootstrap(front, [config.cluster("c", 1)])), "envoy.json")
            self.assertEqual(1, result.returncode)
            if not IS_ENVOY:
                self.assertRegex(result.stderr, what)
                self.assertIn("listeners[0].filter_chains[0].filters[%d]: " % place, result.stderr)

    def test_wrong_enum(self):
        self.refused(GOOD.replace("type: STATIC", "type: STATIK"), "STATIK",
                     "static_resources.clusters[0].type", "STATIK")

    def test_wrong_type(self):
        self.refused_among(GOOD.replace("port_value: 1 ", "port_value: [1] "), "[1]",
                           r"port_value: must be .*number")

    def test_broken_rule(self):
        self.refused(GOOD.replace("port_value: 1 ", "port_value: 70000 "), "70000",
                     "static_resources.clusters[0].load_assignment.endpoints[0].lb_endpoints[0].endpoint"
                     ".address.socket_address.port_value", "65535")

    def test_unknown_cluster(self):
        self.refused(GOOD.replace("cluster: origin }", "cluster: nope }"), "nope",
                     "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config"
                     ".virtual_hosts[0].routes[0].route.cluster", "unknown cluster 'nope'")

    def test_a_refused_cluster_is_not_unknown(self):
        self.refused(GOOD.replace("    type: STATIC", "    type: STATIC\n    lb_policy: CLUSTER_PROVIDED"), "CLUSTER_PROVIDED",
                     "static_resources.clusters[0].lb_policy", "goes with a cluster_type only")

    def test_regression_the_bucket_of_connections_is_filled_as_slowly_as_that_of_requests(self):
        bucket = {"max_tokens": 1, "fill_interval": "0.001s"}
        limit = config.typed("envoy.filters.network.local_ratelimit",
                             "envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit",
                             stat_prefix="x", token_bucket=bucket)
        front = config.listener(limit)
        front["filter_chains"][0]["filters"].append(config.tcp("c"))
        _, result = self.validate(json.dumps(config.bootstrap(front, [config.cluster("c", 1)])), "envoy.json")
        self.assertEqual(1, result.returncode)
        self.assertIn("local rate limit token bucket fill timer must be >= 50ms", result.stderr)

    def test_settings_of_clusters_that_contradict_each_other(self):
        times = "timeout: 1s, interval: 1s, unhealthy_threshold: 1, healthy_threshold: 1"
        for fields, path, what in (
                ("outlier_detection: { base_ejection_time: 10s, max_ejection_time: 1s }",
                 "outlier_detection.max_ejection_time", "shorter than base_ejection_time"),
                ("health_checks: [ { %s, http_health_check: { path: /, send: { text: '00' } } } ]" % times,
                 "health_checks[0].http_health_check.send", "goes with the methods"),
                ("upstream_bind_config: { source_address: { address: 127.0.0.1, port_value: 0 }, extra_source_addresses: "
                 "[ { address: { address: 127.0.0.2, port_value: 0 } } ] }",
                 "upstream_bind_config.extra_source_addresses[0]", "one of this IP version")):
            with self.subTest(path=path):
                self.refused(GOOD.replace("    type: STATIC", "    type: STATIC\n    " + fields), fields.split(":")[0],
                             "static_resources.clusters[0]." + path, what)

    @unittest.skipIf(IS_ENVOY, "Envoy takes the last")
    def test_duplicate_key(self):
        self.refused_among(GOOD.replace("    type: STATIC", "    type: STATIC\n    type: STATIC"), "STATIC",
                           "duplicate key 'type'")

    def test_bad_yaml(self):
        _, result = self.validate("static_resources: [\n")
        self.assertEqual((1, ""), (result.returncode, result.stdout))
        if not IS_ENVOY:
            self.assertRegex(result.stderr, r"(?m)^[^:]+:\d+:\d+: ")

    @unittest.skipIf(IS_ENVOY, "Envoy stops at the first")
    def test_all_problems_at_once(self):
        text = GOOD.replace("    type: STATIC", "    typo: STATIC").replace("prefix: /", "prefux: /")
        file, result = self.validate(text)
        self.assertEqual(1, result.returncode)
        found = {int(PROBLEM.match(one)["line"]) for one in result.stderr.splitlines()
                 if one.startswith(file) and PROBLEM.match(one)}
        self.assertTrue({line_of(text, "typo"), line_of(text, "prefux")} <= found, result.stderr)

    @unittest.skipIf(IS_ENVOY, "Envoy refuses merge keys")
    def test_anchors_and_merge_keys(self):
        text = GOOD.replace("  clusters:\n  - name: origin\n", "  clusters:\n  - &base\n    name: origin\n")
        text += "  - <<: *base\n    name: other\n"
        _, result = self.validate(text)
        self.assertEqual(0, result.returncode, result.stderr)

    def test_absent_file(self):
        result = run("--mode", "validate", "-c", os.path.join(self.files, "absent.yaml"))
        self.assertEqual((1, ""), (result.returncode, result.stdout))
        self.assertIn("absent.yaml", result.stderr)

    @unittest.skipIf(IS_ENVOY, "Envoy accepts it with a warning")
    def test_alias_bomb(self):
        levels = ["a: &a0 [x, x, x, x, x, x, x, x, x]"]
        for level in range(1, 12):
            levels.append("a%d: &a%d [%s]" % (level, level, ", ".join(["*a%d" % (level - 1)] * 9)))
        began = time.monotonic()
        _, result = self.validate("\n".join(levels))
        self.assertEqual(1, result.returncode)
        self.assertLess(time.monotonic() - began, 5 * SLOW)

    def test_overlay(self):
        path, result = self.validate(GOOD, "envoy.yaml", "--config-yaml",
                                     "node: { id: over, cluster: laid }")
        self.assertEqual(0, result.returncode, result.stderr)
        self.assertIn("OK", result.stdout)
        _, result = self.validate(GOOD, "envoy.yaml", "--config-yaml", "node: { idd: over }")
        self.assertEqual(1, result.returncode)


class CommandLine(ProxyTest):
    """The options."""

    def test_version(self):
        result = run("--version")
        self.assertEqual(0, result.returncode)
        self.assertRegex(result.stdout, r"\d+\.\d+\.\d+")

    def test_help(self):
        result = run("--help")
        self.assertEqual(0, result.returncode)
        for option in ("--config-path", "--config-yaml", "--mode", "--concurrency", "--log-level",
                       "--component-log-level", "--log-path", "--log-format", "--admin-address-path",
                       "--drain-time-s", "--service-cluster", "--service-node", "--service-zone", "--version",
                       "--base-id", "--restart-epoch", "--disable-hot-restart", "--parent-shutdown-time-s"):
            self.assertIn(option, result.stdout)

    def test_unknown_option(self):
        result = run("--nonsense")
        self.assertNotEqual(0, result.returncode)
        self.assertIn("nonsense", result.stderr + result.stdout)

    @unittest.skipIf(IS_ENVOY, "which writes it only with hot restart, and has that off in tests")
    def test_base_id(self):
        """Scripts wait for the file."""
        path = os.path.join(self.files, "base_id")
        self.start(config.bootstrap(config.listener(config.http([config.direct(200, "ok")]))),
                   arguments=["--base-id", "7", "--base-id-path", path])
        with open(path, encoding="utf-8") as file:
            self.assertEqual("7", file.read())

    def test_nothing_to_do(self):
        self.assertNotEqual(0, run().returncode)

    def test_overlay_serves(self):
        overlay = json.dumps({"node": {"id": "over"}})
        self.start(config.bootstrap(config.listener(config.http([config.direct(200, "ok")]))),
                   arguments=["--config-yaml", overlay, "--service-cluster", "egress"])
        node = self.proxy.admin("/server_info").json()["node"]
        self.assertEqual(("over", "egress"), (node["id"], node["cluster"]))

    def test_address_in_use(self):
        origin = self.origin()
        path = os.path.join(self.files, "c.yaml")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config.bootstrap(config.listener(config.http([config.direct(200)]),
                                                       address=config.socket_address(port=origin.port))), file)
        result = run("-c", path, *(["--disable-hot-restart"] if IS_ENVOY else []))
        self.assertEqual(1, result.returncode)
        self.assertIn(str(origin.port), result.stderr)


class Signals(ProxyTest):
    """SIGTERM drains, a second one does not wait."""

    def slow(self, **fields):
        """A gateway whose origin answers after `self.go` is set."""
        self.began = []

        def answer(request):
            self.began.append(request)
            wait_for(lambda: self.go, 20, "the word to go")
            return ok(b"at last")
        self.go = False
        origin = self.origin(answer)
        manager = config.http([config.forward("origin")], log=self.log_path, **fields)
        self.start(config.bootstrap(config.listener(manager), [config.cluster("origin", origin.port)]))
        self.addCleanup(setattr, self, "go", True)
        client = self.client()
        client.request("GET", "/", "h")
        wait_for(lambda: self.began)
        return client

    @unittest.skipIf(IS_ENVOY, "Envoy cuts what is in flight")
    def test_a_request_in_flight_is_answered(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(signal=number):
                self.proxy = None
                client = self.slow()
                port = self.proxy.port()
                self.proxy.signal(number)

                def refused():
                    try:
                        Client(port).close()
                        return False
                    except OSError:
                        return True
                wait_for(refused, 5 * SLOW, "the listener to close")
                self.assertTrue(self.proxy.running())
                self.go = True
                answer = client.response()
                self.assertEqual((200, b"at last", "close"),
                                 (answer.status, answer.body, answer.header("connection")))
                self.assertTrue(client.at_eof())
                self.assertEqual(0, self.proxy.wait_exit())
                self.assertEqual(200, self.log()["code"])

    @unittest.skipIf(IS_ENVOY, "Envoy ends at the first")
    def test_the_second_signal_ends_at_once(self):
        client = self.slow()
        self.proxy.signal(signal.SIGTERM)
        wait_for(self.draining, 5 * SLOW, "draining")
        began = time.monotonic()
        self.proxy.signal(signal.SIGTERM)
        self.proxy.wait_exit()
        self.assertLess(time.monotonic() - began, 2 * SLOW)
        self.assertTrue(client.at_eof())

    def draining(self):
        try:
            return self.proxy.admin("/ready").status == 503
        except OSError:
            return True

    @unittest.skipIf(IS_ENVOY, "Envoy cuts them")
    def test_regression_a_drain_waits_for_listener_filters(self):
        front = config.listener(config.http([config.direct(200)]), stat_prefix="main")
        front["listener_filters"] = [config.typed(
            "envoy.filters.listener.proxy_protocol", "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol")]
        self.start(config.bootstrap(front))
        client = self.client()
        client.send("PROXY TCP4")
        self.proxy.wait_stat("listener.main.downstream_pre_cx_active", 1)
        self.proxy.signal(signal.SIGTERM)
        wait_for(self.draining, 5 * SLOW, "draining")
        client.send(" 10.1.2.3 10.0.0.1 7 80\r\n")
        self.assertEqual(200, client.ask("GET", "/", "h").status)
        self.assertEqual(0, self.proxy.wait_exit())

    @unittest.skipIf(IS_ENVOY, "Envoy ends at once")
    def test_drain_time_is_a_limit(self):
        self.began = []
        origin = self.raw_origin(lambda wire: (self.began.append(wire.head()), wire.rest()))
        manager = config.http([config.forward("origin", action={"timeout": "0s"})], log=self.log_path)
        self.start(config.bootstrap(config.listener(manager), [config.cluster("origin", origin.port)]),
                   arguments=["--drain-time-s", "1"])
        client = self.client()
        client.request("GET", "/", "h")
        wait_for(lambda: self.began)
        self.proxy.signal(signal.SIGTERM)
        self.assertEqual(0, self.proxy.wait_exit(5))
        # Nobody but the proxy itself has ended it.
        entry = self.log()
        self.assertEqual(("DC", "downstream_local_disconnect(drained)"), (entry["flags"], entry["details"]))

    def test_idle_proxy_ends_at_once(self):
        self.start(config.bootstrap(config.listener(config.http([config.direct(200)]))))
        self.assertEqual(200, self.ask("GET", "/", "h").status)
        client = self.client()
        self.assertEqual(200, client.ask("GET", "/", "h").status)
        began = time.monotonic()
        self.proxy.signal(signal.SIGTERM)
        self.assertEqual(0, self.proxy.wait_exit())
        self.assertLess(time.monotonic() - began, 2 * SLOW, "an idle connection does not delay the end")

    def test_sighup_does_not_end_it(self):
        self.start(config.bootstrap(config.listener(config.http([config.direct(200)]))))
        self.proxy.signal(signal.SIGHUP)
        self.assertEqual(200, self.ask("GET", "/", "h").status)
        self.assertTrue(self.proxy.running())


class FileDescriptors(ProxyTest):
    """Without file descriptors it waits; with them again it goes on."""

    def limit(self, count):
        resource.prlimit(self.proxy.pid, resource.RLIMIT_NOFILE, (count, self.hard))

    @unittest.skipIf(SANITIZER == "asan", "UBSan looks at objects by way of a pipe: it needs descriptors")
    def test_no_spin(self):
        self.start(config.bootstrap(config.listener(config.http([config.direct(200, "ok")]))))
        port = self.proxy.port()
        self.assertEqual(200, self.ask("GET", "/", "h").status)
        self.hard = resource.prlimit(self.proxy.pid, resource.RLIMIT_NOFILE)[1]
        self.proxy.wait_stat("http.ingress.downstream_cx_active", 0)
        # As many as it has, and two more: the third accept fails.
        self.limit(2 + max(int(name) for name in os.listdir("/proc/%d/fd" % self.proxy.pid)))
        clients = [self.client(port) for _ in range(50)]
        for client in clients:
            client.request("GET", "/", "h")
        before, began = self.proxy.cpu(), time.monotonic()
        time.sleep(1.0)  # the thing measured is CPU time over a span
        used = (self.proxy.cpu() - before) / (time.monotonic() - began)
        if not IS_ENVOY:
            self.assertLess(used, 0.2 * SLOW, "it spins")
        self.limit(self.hard)
        # Those who waited are served now, whether or not new connections come.
        for client in clients:
            self.assertEqual(200, client.response().status)

    def test_few_descriptors(self):
        """More clients than descriptors: some are turned away, the others are served."""
        self.start(config.bootstrap(config.listener(config.http([config.direct(200, "ok")]))), open_files=150)
        port = self.proxy.port()
        clients = []
        for _ in range(300):
            with contextlib.suppress(ConnectionResetError):  # turned away at once
                clients.append(self.client(port))
        served = 0
        for client in clients:
            try:
                client.socket.settimeout(0.05)
                served += client.ask("GET", "/", "h").status == 200
            except (OSError, EOFError):
                pass
        self.assertGreater(served, 10)
        for client in clients:
            client.close()
        wait_for(self.serves, 5 * SLOW, "room for another client")

    def serves(self):
        try:
            return self.ask("GET", "/", "h").status == 200
        except (OSError, EOFError):
            return False


if __name__ == "__main__":
    unittest.main()
