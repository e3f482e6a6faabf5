"""What a DNS cache can do beyond Envoy: eviction, all addresses of a name, a view, a file, and hosts that filters name."""
import os
import threading
import unittest

from test.support import config, names
from test.support.origin import HttpOrigin, ok, on_one_port
from test.support.proxy import IS_ENVOY, ProxyTest
from test.support.wait import wait_for

EXTRA = "sluice.dns.v1.DnsCaches"


def more(**fields):
    """The bootstrap extension for the cache `cache`, and the guard that lets loopback be dialled."""
    extension = config.typed("sluice.bootstrap.dns_caches", EXTRA, caches=[{"name": "cache", **fields}])
    return [extension, config.egress_guard(allow_ranges=config.LOOPBACK)]


def file_store(path, **fields):
    return {"config": config.typed("envoy.key_value.file_based",
                                   "envoy.extensions.key_value.file_based.v3.FileBasedKeyValueStoreConfig",
                                   filename=path, **fields)}


def set_filter_state(factories=False, **values):
    """The filter that sets envoy.upstream.dynamic_<name> from the format strings; `factories`: naming the factories, too."""
    return config.typed(
        "envoy.filters.http.set_filter_state", "envoy.extensions.filters.http.set_filter_state.v3.Config",
        on_request_headers=[{
            "object_key": "envoy.upstream.dynamic_" + name,
            **({"factory_key": "envoy.upstream.dynamic_" + name} if factories else {}),
            "format_string": {"text_format_source": {"inline_string": text}, "omit_empty_values": True},
            "skip_if_empty": True} for name, text in values.items()])


class DnsCaches(ProxyTest):
    def egress(self, zone, extra=None, **keywords):
        self.server = self.names(zone)
        content = config.forward_proxy(self.server, log=self.log_path, **keywords)
        if extra:
            content["bootstrap_extensions"] = more(**extra)
        return self.start(content, concurrency=1)

    def on_two_addresses(self):
        """Origins on the same port of 127.0.0.1 and 127.0.0.2, each saying which it is."""
        origins = on_one_port(lambda port: HttpOrigin(ok(b"1"), port=port),
                              lambda port: HttpOrigin(ok(b"2"), address="127.0.0.2", port=port))
        for origin in origins:
            self.addCleanup(origin.close)
        return origins

    @unittest.skipIf(IS_ENVOY, "Envoy refuses new names when its cache is full")
    def test_eviction(self):
        origin = self.origin()
        self.egress({"*.t": names.address("127.0.0.1")}, {"when_full": "EVICT_LEAST_RECENTLY_USED"},
                    cache={"max_hosts": 2})
        for name in ("a.t", "b.t", "c.t", "b.t", "c.t"):
            self.assertEqual(200, self.ask("GET", "/", "%s:%d" % (name, origin.port)).status, name)
        self.assertEqual((1, 2), (self.proxy.stat("dns_cache.cache.host_evicted"),
                                  self.proxy.stat("dns_cache.cache.num_hosts")))
        self.assertEqual([1, 1, 1], [self.server.count(name) for name in ("a.t", "b.t", "c.t")])

    @unittest.skipIf(IS_ENVOY, "Envoy always takes the first address")
    def test_requests_take_turns_over_all_addresses(self):
        first, _ = self.on_two_addresses()
        self.egress({"two.t": names.address("127.0.0.1", "127.0.0.2")}, {"address_policy": "ROUND_ROBIN"})
        bodies = [self.ask("GET", "/", "two.t:%d" % first.port).body for _ in range(6)]
        self.assertEqual([b"1", b"1", b"1", b"2", b"2", b"2"], sorted(bodies))
        self.proxy.wait_stat("dns_cache.cache.num_hosts", 1)
        # One host with one set of figures, whatever its addresses.
        self.assertIn("::rq_total::6\n", self.proxy.admin("/clusters").text)

    @unittest.skipIf(IS_ENVOY, "Envoy retries on the same address")
    def test_a_retry_takes_the_next_address(self):
        first, second = self.on_two_addresses()
        first.answer = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"
        retry = {"retry_policy": {"retry_on": "5xx", "num_retries": 1}}
        self.egress({"two.t": names.address("127.0.0.1", "127.0.0.2")},
                    routes=[config.forward(action=retry)])
        answer = self.ask("GET", "/", "two.t:%d" % first.port)
        self.assertEqual((200, b"2"), (answer.status, answer.body))
        self.assertEqual((1, 1), (len(first.requests), len(second.requests)))

    def test_only_the_saved_address_is_dialled(self):
        origin = HttpOrigin(address="127.0.0.2")
        self.addCleanup(origin.close)
        self.server = self.names({"two.t": names.address("127.0.0.1", "127.0.0.2")})
        settings = config.dns_cache(self.server)
        manager = config.http([config.forward()], log=self.log_path,
                              filters=[config.dfp_filter(settings, save_upstream_address=True)])
        self.start(config.bootstrap(config.listener(manager), [config.dfp_cluster(settings)]))
        answer = self.ask("GET", "/", "two.t:%d" % origin.port)
        # What was not judged by a filter is not dialled, although it would answer.
        self.assertEqual(200 if IS_ENVOY else 503, answer.status)

    @unittest.skipIf(IS_ENVOY, "Envoy has no such page")
    def test_view_and_flush(self):
        origin = self.origin()
        self.egress({"ok.t": names.address("127.0.0.1", ttl=300), "fail.t": names.SERVFAIL})
        host = "ok.t:%d" % origin.port
        self.assertEqual(200, self.ask("GET", "/", host).status)
        self.assertEqual(503, self.ask("GET", "/", "fail.t").status)
        text = self.proxy.admin("/dns_cache").text
        self.assertIn("cache::%s::state::resolved\n" % host, text)
        self.assertIn("cache::%s::address::127.0.0.1:%d\n" % (host, origin.port), text)
        self.assertIn("cache::%s::ttl::300\n" % host, text)
        self.assertIn("cache::fail.t:80::state::failed\n", text)
        page = self.proxy.admin("/dns_cache?format=json").json()
        self.assertEqual("cache", page["dns_caches"][0]["name"])
        failed, good = page["dns_caches"][0]["hosts"]
        self.assertEqual(("fail.t:80", 1), (failed["host"], failed["failures"]))
        self.assertEqual("cares_failure:DNS_server_returned_general_failure", failed["last_failure"])
        self.assertEqual(["127.0.0.1:%d" % origin.port], good["addresses"])
        self.assertEqual(405, self.proxy.admin("/dns_cache/flush").status)
        self.assertEqual("OK: 1 host\n", self.proxy.admin("/dns_cache/flush?host=OK.t", "POST").text)
        self.assertEqual(404, self.proxy.admin("/dns_cache/flush?cache=x", "POST").status)
        for wrong in ("hosts=ok.t", "host=", "ok.t"):
            self.assertEqual(400, self.proxy.admin("/dns_cache/flush?" + wrong, "POST").status, wrong)
        self.assertEqual(200, self.ask("GET", "/", host).status)
        self.assertEqual(2, self.server.count("ok.t"))
        self.assertEqual("OK: 2 hosts\n", self.proxy.admin("/dns_cache/flush", "POST").text)

    def test_addresses_outlive_the_process(self):
        origin = self.origin()
        path = os.path.join(self.files, "hosts")
        cache = {"key_value_config": file_store(path, flush_interval="0s")}
        first = self.egress({"ok.t": names.address("127.0.0.1", ttl=300)}, cache=cache)
        host = "ok.t:%d" % origin.port
        self.assertEqual(200, self.ask("GET", "/", host).status)
        wait_for(lambda: os.path.exists(path) and host in open(path, encoding="utf-8").read())
        first.stop()
        self.proxy = None
        self.egress({"ok.t": names.SERVFAIL}, cache=cache)
        self.assertEqual(200, self.ask("GET", "/", host).status)
        self.assertEqual(0, self.server.count("ok.t"), "the TTL has not passed")
        self.proxy.wait_stat("dns_cache.cache.cache_load", 1)

    def test_host_from_filter_state(self):
        origin = self.origin()
        settings = config.dns_cache(self.names({"ok.t": names.address("127.0.0.1")}))
        manager = config.http([config.forward()], filters=[
            set_filter_state(host="%REQ(X-Target)%", port=str(origin.port)),
            config.dfp_filter(settings, allow_dynamic_host_from_filter_state=True)])
        self.start(config.bootstrap(config.listener(manager), [config.dfp_cluster(settings)]))
        self.assertEqual(200, self.ask("GET", "/", "nowhere.t", [("x-target", "ok.t")]).status)
        self.assertEqual("nowhere.t", origin.requests[0].header("host"))
        self.assertEqual(503, self.ask("GET", "/", "nowhere.t").status)

    def test_factory_keys_of_filter_state_are_accepted(self):
        origin = self.origin()
        settings = config.dns_cache(self.names({"ok.t": names.address("127.0.0.1")}))
        manager = config.http([config.forward()], filters=[
            set_filter_state(factories=True, host="ok.t", port=str(origin.port)),
            config.dfp_filter(settings, allow_dynamic_host_from_filter_state=True)])
        self.start(config.bootstrap(config.listener(manager), [config.dfp_cluster(settings)]))
        self.assertEqual(200, self.ask("GET", "/", "nowhere.t").status)

    def test_only_denied_addresses_in_an_answer(self):
        settings = {"resolved_address_filter": {"ranges": [{"address_prefix": "127.0.0.9", "prefix_len": 32}]}}
        self.egress({"in.t": names.address("127.0.0.9")}, cache=settings)
        self.assertEqual(503, self.ask("GET", "/", "in.t").status)
        self.assertEqual("dns_resolution_failure{address_denied}", self.log()["details"])

    @unittest.skipIf(IS_ENVOY, "says no path")
    def test_different_settings(self):
        server = self.names({})
        settings = config.dns_cache(server)
        manager = config.http([config.forward()], filters=[config.dfp_filter({**settings, "max_hosts": 7})])
        with self.assertRaises(AssertionError) as caught:
            self.start(config.bootstrap(config.listener(manager), [config.dfp_cluster(settings)]))
        self.assertIn("config specified DNS cache 'cache' with different settings than at "
                      "static_resources.clusters[0].cluster_type.typed_config.dns_cache_config",
                      str(caught.exception))

    @unittest.skipIf(IS_ENVOY, "ours")
    def test_settings_for_no_cache(self):
        content = config.forward_proxy(self.names({}))
        content["bootstrap_extensions"] = [config.typed("sluice.bootstrap.dns_caches", EXTRA,
                                                        caches=[{"name": "other"}])]
        with self.assertRaises(AssertionError) as caught:
            self.start(content)
        self.assertIn("no filter or cluster has a DNS cache 'other'", str(caught.exception))


@unittest.skipIf(IS_ENVOY, "ours")
class PerHost(ProxyTest):
    """Breakers and statistics of each name, and settings that change while the cache runs."""

    def egress(self, zone, extra=None, concurrency=2, static=None, **keywords):
        self.server = self.names(zone)
        content = config.forward_proxy(self.server, log=self.log_path, **keywords)
        content["bootstrap_extensions"] = more(**(extra or {}))
        content["layered_runtime"] = {"layers": [{"name": "static", "static_layer": static or {}},
                                                 {"name": "admin", "admin_layer": {}}]}
        return self.start(content, concurrency=concurrency)

    def waiting_origin(self):
        """An origin that answers when the test says so."""
        self.go = threading.Event()
        self.addCleanup(self.go.set)
        return self.origin(lambda _: self.go.wait(10) and ok())

    def modify(self, **values):
        query = "&".join("dns_cache.cache.%s=%s" % (name.replace("__", "."), value) for name, value in values.items())
        self.assertEqual("OK\n", self.proxy.admin("/runtime_modify?" + query, "POST").text)

    def settings(self):
        return self.proxy.admin("/dns_cache?format=json").json()["dns_caches"][0]["settings"]

    def host(self, name):
        hosts = self.proxy.admin("/dns_cache?format=json").json()["dns_caches"][0]["hosts"]
        return next(host for host in hosts if host["host"].startswith(name + ":"))

    def overflow(self, host):
        answer = self.ask("GET", "/", host)
        self.assertEqual((503, "upstream connect error or disconnect/reset before headers. reset reason: overflow"),
                         (answer.status, answer.text()))
        self.assertEqual("true", answer.header("x-envoy-overloaded"))
        entry = self.log()
        self.assertEqual(("UO", "upstream_reset_before_response_started{overflow}"),
                         (entry["flags"], entry["details"]))

    def test_requests(self):
        origin = self.waiting_origin()
        self.egress({"*.t": names.address("127.0.0.1")}, {"per_host": {"max_requests": 2}})
        one, other = ("%s.t:%d" % (name, origin.port) for name in ("one", "other"))
        with self.client() as first, self.client() as second, self.client() as third:
            first.request("GET", "/", one)
            second.request("GET", "/", one)
            wait_for(lambda: len(origin.requests) == 2)
            self.assertEqual(2, self.host("one.t")["rq_active"])
            self.overflow(one)
            third.request("GET", "/", other)  # has a limit of its own
            wait_for(lambda: len(origin.requests) == 3)
            self.modify(per_host__max_requests=3)
            with self.client() as fourth:
                fourth.request("GET", "/", one)
                wait_for(lambda: len(origin.requests) == 4)
                self.go.set()
                for client in (first, second, third, fourth):
                    self.assertEqual(200, client.response().status)
        wait_for(lambda: self.host("one.t")["rq_active"] == 0)
        self.assertEqual((3, 1), (self.host("one.t")["rq_total"], self.host("one.t")["rq_overflow"]))
        self.assertEqual(0, self.proxy.stat("cluster.dfp.upstream_rq_active_overflow"))

    def test_the_limit_is_that_of_all_ports(self):
        first, second = self.waiting_origin(), self.waiting_origin()
        self.egress({"*.t": names.address("127.0.0.1")}, {"per_host": {"max_requests": 1}})
        with self.client() as client:
            client.request("GET", "/", "a.t:%d" % first.port)
            wait_for(lambda: first.requests)
            self.overflow("a.t:%d" % second.port)
            self.assertEqual([], second.requests)

    def test_connections_and_pending_requests(self):
        origin = self.waiting_origin()
        self.egress({"*.t": names.address("127.0.0.1")},
                    {"per_host": {"max_connections": 1, "max_pending_requests": 1}}, concurrency=1)
        host = "a.t:%d" % origin.port
        with self.client() as first, self.client() as second:
            first.request("GET", "/", host)
            wait_for(lambda: origin.requests)
            second.request("GET", "/", host)
            wait_for(lambda: self.host("a.t")["rq_pending"] == 1)
            self.overflow(host)
            self.go.set()
            self.assertEqual((200, 200), (first.response().status, second.response().status))
        self.assertEqual(1, origin.connections)
        self.assertEqual((1, 0, 2), tuple(self.host("a.t")[name] for name in ("cx_active", "rq_pending", "rq_total")))

    def test_statistics(self):
        origin = self.origin(lambda _: b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
        self.egress({"*.t": names.address("127.0.0.1")}, {"max_host_stats": 1})
        for name in ("rare.t", "busy.t", "busy.t"):
            self.assertEqual(500, self.ask("GET", "/", "%s:%d" % (name, origin.port)).status)
        prefix = "dns_cache.cache.host."
        self.assertEqual((2, 2, 0, 0), tuple(self.proxy.stat(prefix + "busy.t." + name)
                                             for name in ("rq_total", "rq_5xx", "rq_error", "rq_active")))
        self.assertEqual({}, self.proxy.stats("host.rare.t"))
        self.assertIn('envoy_dns_cache_cache_host_rq_total{envoy_dns_host="busy.t"} 2',
                      self.proxy.admin("/stats/prometheus").text)
        self.proxy.admin("/dns_cache/flush?host=busy.t", "POST")
        self.assertEqual({}, self.proxy.stats("host.busy.t"))
        self.proxy.wait_stat(prefix + "rare.t.rq_total", 1)

    def test_settings_change(self):
        origin = self.origin()
        self.egress({"*.t": names.address("127.0.0.1", ttl=300)}, {"when_full": "EVICT_LEAST_RECENTLY_USED"})
        for name in ("a.t", "b.t", "c.t"):
            self.assertEqual(200, self.ask("GET", "/", "%s:%d" % (name, origin.port)).status)
        self.assertEqual((1024, 300000), (self.settings()["max_hosts"], self.settings()["host_ttl_ms"]))
        self.modify(max_hosts=2)
        self.assertEqual((2, 1), (self.proxy.stat("dns_cache.cache.num_hosts"),
                                  self.proxy.stat("dns_cache.cache.host_evicted")))
        self.assertEqual(200, self.ask("GET", "/", "d.t:%d" % origin.port).status)
        self.proxy.wait_stat("dns_cache.cache.num_hosts", 2)
        self.modify(host_ttl_ms=1)
        self.proxy.wait_stat("dns_cache.cache.num_hosts", 0)
        self.modify(max_hosts="", host_ttl_ms="", max_pending_requests=0)
        self.assertEqual((1024, 300000, 0), tuple(self.settings()[name] for name in
                                                  ("max_hosts", "host_ttl_ms", "max_pending_requests")))
        self.proxy.wait_stat("dns_cache.cache.circuit_breakers.rq_pending_open", 1)
        answer = self.ask("GET", "/", "a.t:%d" % origin.port)
        self.assertEqual((503, "Dynamic forward proxy pending request overflow"), (answer.status, answer.text()))

    def test_full_without_eviction(self):
        origin = self.origin()
        self.egress({"*.t": names.address("127.0.0.1")})
        for name in ("a.t", "b.t"):
            self.assertEqual(200, self.ask("GET", "/", "%s:%d" % (name, origin.port)).status)
        self.modify(max_hosts=1)
        self.proxy.wait_stat("dns_cache.cache.num_hosts", 2)
        self.assertEqual(503, self.ask("GET", "/", "c.t:%d" % origin.port).status)
        self.assertEqual(200, self.ask("GET", "/", "a.t:%d" % origin.port).status)

    def test_how_often_failures_are_looked_up(self):
        self.egress({"bad.t": names.SERVFAIL}, static={"dns_cache.cache.dns_failure_refresh_rate_ms": 50})
        self.assertEqual(503, self.ask("GET", "/", "bad.t").status)
        self.assertEqual(50, self.settings()["dns_failure_refresh_rate_ms"])
        wait_for(lambda: self.proxy.stat("dns_cache.cache.dns_query_attempt") >= 3)
        # What the field would not take is passed over.
        self.modify(dns_min_refresh_rate_ms=1)
        self.assertEqual(5000, self.settings()["dns_min_refresh_rate_ms"])


class SubClusters(ProxyTest):
    """A cluster for each host and port."""

    def egress(self, zone, **keywords):
        self.server = self.names(zone)
        return self.start(config.sub_cluster_proxy(self.server, log=self.log_path, **keywords), concurrency=1)

    def test_balances_over_all_addresses(self):
        origins = on_one_port(lambda port: HttpOrigin(ok(b"1"), port=port),
                              lambda port: HttpOrigin(ok(b"2"), address="127.0.0.2", port=port))
        for origin in origins:
            self.addCleanup(origin.close)
        self.egress({"two.t": names.address("127.0.0.1", "127.0.0.2")})
        bodies = [self.ask("GET", "/", "two.t:%d" % origins[0].port).body for _ in range(4)]
        self.assertEqual([b"1", b"1", b"2", b"2"], sorted(bodies))
        name = "DFPCluster:two.t:%d" % origins[0].port
        self.assertIn("%s::127.0.0.2:%d::hostname::two.t\n" % (name, origins[0].port),
                      self.proxy.admin("/clusters").text)

    def test_config_dump(self):
        """They are no clusters of the configuration."""
        origin = self.origin()
        self.egress({"ok.t": names.address("127.0.0.1")})
        self.assertEqual(200, self.ask("GET", "/", "ok.t:%d" % origin.port).status)
        name = "DFPCluster:ok.t:%d" % origin.port

        def of(resource):
            return self.proxy.admin("/config_dump?include_eds&resource=" + resource).json().get("configs", [])
        self.assertEqual([["dfp"], [name]], [[one["cluster"]["name"] for one in of(resource)]
                                             for resource in ("static_clusters", "dynamic_active_clusters")])
        self.assertEqual([["dfp"], [name]], [[one["endpoint_config"]["cluster_name"] for one in of(resource)]
                                             for resource in ("static_endpoint_configs", "dynamic_endpoint_configs")])
        self.assertRegex(of("dynamic_active_clusters")[0]["last_updated"], r"^\d{4}-.*Z$")

    def test_connect(self):
        origin = self.raw_origin(lambda wire: (wire.send("hi"), wire.rest()))
        self.egress({"ok.t": names.address("127.0.0.1")})
        with self.client() as client:
            self.assertEqual(200, client.ask("CONNECT", "ok.t:%d" % origin.port).status)
            self.assertEqual(b"hi", client.read(2))

    def test_unknown_name(self):
        self.egress({})
        answer = self.ask("GET", "/", "nx.t")
        self.assertEqual((503, "no healthy upstream"), (answer.status, answer.text()))
        self.assertEqual("UH", self.log()["flags"])

    def test_too_many(self):
        origin = self.origin()
        self.egress({"*.t": names.address("127.0.0.1")}, sub_clusters={"max_sub_clusters": 1})
        self.assertEqual(200, self.ask("GET", "/", "a.t:%d" % origin.port).status)
        answer = self.ask("GET", "/", "b.t:%d" % origin.port)
        self.assertEqual((503, "Sub cluster overflow"), (answer.status, answer.text()))
        self.assertEqual("sub_cluster_overflow", self.log(count=2)["details"])

    def test_name_server_is_silent(self):
        self.egress({"silent.t": names.SILENT}, filter_fields={"cluster_init_timeout": "0.2s"})
        answer = self.ask("GET", "/", "silent.t")
        self.assertEqual((503, "Sub cluster warming timeout"), (answer.status, answer.text()))
        self.assertEqual("sub_cluster_warming_timeout", self.log()["details"])

    def test_unused_ones_go(self):
        origin = self.origin()
        self.egress({"*.t": names.address("127.0.0.1")}, sub_clusters={"sub_cluster_ttl": "0.2s"})
        for _ in range(3):
            host = "a.t:%d" % origin.port
            self.assertEqual(200, self.ask("GET", "/", host).status)
            self.assertIn("DFPCluster:" + host, self.proxy.admin("/clusters").text)
            wait_for(lambda: "DFPCluster" not in self.proxy.admin("/clusters").text)
            wait_for(lambda: not self.proxy.stats("DFPCluster"))

    @unittest.skipIf(IS_ENVOY, "Envoy takes it")
    def test_nobody_knows_what_comes_next(self):
        content = config.sub_cluster_proxy(self.names({}), preconnect_policy={"predictive_preconnect_ratio": 2})
        with self.assertRaises(AssertionError) as caught:
            self.start(content)
        self.assertIn("sub_clusters_config does not go with preconnect_policy.predictive_preconnect_ratio",
                      str(caught.exception))

    @unittest.skipIf(IS_ENVOY, "Envoy has no guard")
    def test_the_guard_holds_here_too(self):
        origin = self.origin()
        self.server = self.names({"ok.t": names.address("127.0.0.1")})
        self.start(config.sub_cluster_proxy(self.server, log=self.log_path), open_loopback=False)
        self.assertEqual(403, self.ask("GET", "/", "ok.t:%d" % origin.port).status)
        self.assertEqual([], origin.requests)


if __name__ == "__main__":
    unittest.main()
