"""The contenders of the benchmark: how each is configured and started. Every one gets a folder of its own."""
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
PROXY_CORE, LOAD_CORE = 0, 1
TYPES = "type.googleapis.com/"
FILTERS = TYPES + "envoy.extensions.filters."
MODES = ("get", "features", "forward", "tunnel")


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def pinned(cores):
    """For preexec_fn: runs on these cores only, with as many descriptors as allowed."""
    def prepare():
        os.sched_setaffinity(0, set(cores) & set(range(os.cpu_count())) or {0})
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return prepare


def await_port(port, process, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError("ended with exit code %d" % process.returncode)
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise RuntimeError("does not listen")


class Peer:
    """A proxy that can be started. Subclasses write the configuration and give the command line."""

    name = ""
    modes = ()
    program = ""

    def __init__(self, bench, mode):
        self.bench, self.mode = bench, mode
        self.folder = tempfile.mkdtemp(prefix="bench.%s." % self.name, dir=bench.folder)
        self.port = free_port()
        self.process = None

    @classmethod
    def present(cls):
        return bool(shutil.which(cls.program, path=os.environ.get("PATH", "") + ":/usr/sbin"))

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def command(self):
        raise NotImplementedError

    def launch(self, wrap=(), cores=(PROXY_CORE,), extra_env=None):
        """Starts it and returns at once. `wrap` goes before its command line."""
        with open(self.path("output"), "ab") as output:
            self.process = subprocess.Popen(list(wrap) + self.command(), stdin=subprocess.DEVNULL, stdout=output,
                                            stderr=output, preexec_fn=pinned(cores), start_new_session=True,
                                            env=dict(os.environ, **(extra_env or {})))
        return self

    def start(self, **options):
        self.launch(**options)
        try:
            await_port(self.port, self.process, 60 if options.get("wrap") else 20)
        except RuntimeError as error:
            with open(self.path("output"), encoding="utf-8", errors="replace") as file:
                raise RuntimeError("%s %s: %s" % (self.name, error, file.read()[-2000:])) from None
        return self

    def stop(self):
        """Ends the processes that were started here."""
        if self.process is None:
            return
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.process = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *unused):
        self.stop()


class Relay(Peer):
    name = "relay"
    modes = ("get", "tunnel")

    @classmethod
    def present(cls):
        return True

    def command(self):
        return [self.bench.tool("relay"), "--port", str(self.port), "--upstream", str(self.bench.origin_port)]


class Nginx(Peer):
    name = "nginx"
    modes = ("get", "features")
    program = "nginx"

    def command(self):
        log = "access_log off;"
        location, server = "", ""
        if self.mode == "features":
            log = "access_log %s combined buffer=64k flush=1s;" % self.path("access.log")
            server = "limit_req_zone $server_name zone=all:1m rate=1000000r/s;"
            location = ("limit_req zone=all burst=100000 nodelay; proxy_set_header x-added one; "
                        "add_header x-answered two; deny 192.0.2.0/24; allow all;")
        self.write("nginx.conf", """
daemon off; master_process off; pid %(pid)s; error_log stderr crit; worker_rlimit_nofile %(files)d;
events { worker_connections %(files)d; }
http {
  %(log)s %(server)s
  client_body_temp_path %(folder)s/body; proxy_temp_path %(folder)s/proxy; fastcgi_temp_path %(folder)s/f;
  uwsgi_temp_path %(folder)s/u; scgi_temp_path %(folder)s/s;
  keepalive_requests 100000000; keepalive_timeout 600s; client_max_body_size 100m;
  upstream origin { server 127.0.0.1:%(origin)d; keepalive 256; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:%(port)d reuseport backlog=4096;
    location / { %(location)s proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";
                 proxy_request_buffering off; }
  }
}
""" % {"pid": self.path("pid"), "files": resource.getrlimit(resource.RLIMIT_NOFILE)[1], "log": log, "server": server,
            "folder": self.folder, "origin": self.bench.origin_port, "port": self.port, "location": location})
        return [shutil.which("nginx", path="/usr/sbin:/usr/bin"), "-c", self.path("nginx.conf"), "-e", self.path("error")]


class Haproxy(Peer):
    name = "haproxy"
    modes = ("get", "features", "tunnel")
    program = "haproxy"
    splice = False

    def command(self):
        front, back, log = "", "", ""
        if self.mode == "features":
            log = "log stdout format raw local0 info"
            front = """
  log global
  option httplog
  stick-table type ip size 1k expire 60s store http_req_rate(1s)
  http-request track-sc0 src
  http-request deny deny_status 429 if { sc_http_req_rate(0) gt 1000000 }
  http-request deny if { src 192.0.2.0/24 }
  http-request set-header x-added one
  http-response set-header x-answered two"""
        mode = "tcp" if self.mode == "tunnel" else "http"
        if self.splice:
            front += "\n  option splice-request\n  option splice-response"
        if mode == "http":
            back = "\n  http-reuse always"
        self.write("haproxy.cfg", """
global
  %s
  nbthread 1
  no strict-limits
  maxconn %d
  tune.bufsize 16384
defaults
  mode %s
  timeout connect 5s
  timeout client 600s
  timeout server 600s
frontend main
  bind 127.0.0.1:%d backlog 4096%s
  default_backend origin
backend origin%s%s
  server one 127.0.0.1:%d pool-max-conn 256
""" % (log, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 300, mode, self.port, front, back,
            "\n  option splice-request\n  option splice-response" if self.splice else "", self.bench.origin_port))
        return [shutil.which("haproxy", path="/usr/sbin:/usr/bin"), "-db", "-q", "-f", self.path("haproxy.cfg")]


class HaproxySplice(Haproxy):
    name = "haproxy-splice"
    modes = ("tunnel",)
    splice = True


class Squid(Peer):
    name = "squid"
    modes = ("forward",)
    program = "squid"

    def command(self):
        os.chmod(self.folder, 0o777)
        hosts = self.write("hosts", "".join("127.0.0.%d n%d.bench.test\n" % (n % 200 + 1, n) for n in range(10000)))
        self.write("squid.conf", """
http_port 127.0.0.1:%d
http_access allow all
cache deny all
cache_mem 0 MB
memory_pools on
access_log none
cache_log %s
cache_store_log none
pid_filename none
coredump_dir %s
hosts_file %s
max_filedescriptors %d
server_persistent_connections on
client_persistent_connections on
shutdown_lifetime 0 seconds
icp_port 0
pinger_enable off
""" % (self.port, self.path("cache.log"), self.folder, hosts, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        return [shutil.which("squid", path="/usr/sbin:/usr/bin"), "-N", "-f", self.path("squid.conf")]


class Envoy(Peer):
    """Envoy, where ENVOY_BINARY names it; Sluice reads the same configuration."""

    name = "envoy"
    modes = MODES
    workers = 1

    @classmethod
    def present(cls):
        return os.access(os.environ.get("ENVOY_BINARY", ""), os.X_OK)

    def binary(self):
        return [os.environ["ENVOY_BINARY"], "--disable-hot-restart", "-l", "error"]

    def skipped(self):
        """Parts of the configuration that this binary does not know yet."""
        return set()

    def command(self):
        config = bootstrap(self, self.skipped())
        self.write("config.json", json.dumps(config, indent=1))
        return self.binary() + ["-c", self.path("config.json"), "--concurrency", str(self.workers)]


class Sluice(Envoy):
    name = "sluice"
    known = {}
    program_path = None

    @classmethod
    def present(cls):
        return True

    def binary(self):
        return [self.program_path or self.bench.sluice, "-l", "error", "--drain-time-s", "1"]

    def skipped(self):
        if self.mode not in Sluice.known:
            missing = set()
            for part in ("local_ratelimit", "rbac", "egress_guard"):
                others = {"local_ratelimit", "rbac", "egress_guard"} - {part}
                path = self.write("detect.json", json.dumps(bootstrap(self, others)))
                if subprocess.run(self.binary() + ["-c", path, "--mode", "validate"], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, timeout=30, check=False).returncode != 0:
                    missing.add(part)
            Sluice.known[self.mode] = missing
        return Sluice.known[self.mode]


def http_filters(peer, skipped):
    filters = []
    if peer.mode == "features":
        percent = {"default_value": {"numerator": 100}}
        filters = [
            {"name": "local_ratelimit", "typed_config": {
                "@type": FILTERS + "http.local_ratelimit.v3.LocalRateLimit", "stat_prefix": "limit",
                "token_bucket": {"max_tokens": 1000000, "tokens_per_fill": 1000000, "fill_interval": "1s"},
                "filter_enabled": percent, "filter_enforced": percent}},
            {"name": "rbac", "typed_config": {"@type": FILTERS + "http.rbac.v3.RBAC", "rules": {
                "action": "DENY", "policies": {"away": {
                    "permissions": [{"any": True}],
                    "principals": [{"direct_remote_ip": {"address_prefix": "192.0.2.0", "prefix_len": 24}}]}}}}},
            {"name": "header_mutation", "typed_config": {
                "@type": FILTERS + "http.header_mutation.v3.HeaderMutation", "mutations": {
                    "request_mutations": [{"append": {"header": {"key": "x-added", "value": "one"},
                                                      "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}],
                    "response_mutations": [{"append": {"header": {"key": "x-answered", "value": "two"},
                                                       "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}]}}}]
        filters = [item for item in filters if item["name"] not in skipped]
    if peer.mode == "forward":
        filters.append({"name": "dfp", "typed_config": {
            "@type": FILTERS + "http.dynamic_forward_proxy.v3.FilterConfig", "dns_cache_config": dns_cache(peer)}})
    return filters + [{"name": "router", "typed_config": {"@type": FILTERS + "http.router.v3.Router"}}]


def dns_cache(peer):
    return {"name": "cache", "dns_lookup_family": "V4_ONLY", "max_hosts": 20000, "dns_refresh_rate": "3600s",
            "host_ttl": "3600s", "dns_cache_circuit_breaker": {"max_pending_requests": 20000},
            "typed_dns_resolver_config": {"name": "envoy.network.dns_resolver.cares", "typed_config": {
                "@type": TYPES + "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
                "resolvers": [{"socket_address": {"address": "127.0.0.1", "port_value": peer.bench.dns_port}}],
                "dns_resolver_options": {"no_default_search_domain": True}}}}


def bootstrap(peer, skipped):
    """The configuration of Sluice and of Envoy."""
    limits = {"thresholds": [{"max_connections": 40000, "max_pending_requests": 40000, "max_requests": 40000}]}
    cluster = {"name": "origin", "connect_timeout": "5s", "circuit_breakers": limits}
    if peer.mode == "forward":
        cluster.update(lb_policy="CLUSTER_PROVIDED", cluster_type={
            "name": "envoy.clusters.dynamic_forward_proxy", "typed_config": {
                "@type": TYPES + "envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig",
                "dns_cache_config": dns_cache(peer)}})
    else:
        address = {"socket_address": {"address": "127.0.0.1", "port_value": peer.bench.origin_port}}
        cluster.update(type="STATIC", load_assignment={"cluster_name": "origin", "endpoints": [
            {"lb_endpoints": [{"endpoint": {"address": address}}]}]})
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "origin", "timeout": "0s"}}]
    if peer.mode == "tunnel":
        routes.insert(0, {"match": {"connect_matcher": {}}, "route": {
            "cluster": "origin", "timeout": "0s", "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}]}})
    manager = {"@type": FILTERS + "network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": "bench",
               "http_filters": http_filters(peer, skipped),
               "route_config": {"name": "bench", "virtual_hosts": [{"name": "any", "domains": ["*"], "routes": routes}]}}
    if peer.mode == "tunnel":
        manager["upgrade_configs"] = [{"upgrade_type": "CONNECT"}]
    if peer.mode == "features":
        manager["access_log"] = [{"name": "envoy.access_loggers.file", "typed_config": {
            "@type": TYPES + "envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": peer.path("access.log")}}]
    config = {"static_resources": {
        "listeners": [{"name": "main", "address": {"socket_address": {"address": "127.0.0.1", "port_value": peer.port}},
                       "filter_chains": [{"filters": [{"name": "hcm", "typed_config": manager}]}]}],
        "clusters": [cluster]}}
    if peer.name == "sluice" and "egress_guard" not in skipped:
        config["bootstrap_extensions"] = [{"name": "sluice.egress_guard", "typed_config": {
            "@type": TYPES + "sluice.egress.v1.EgressGuard",
            "allow_ranges": [{"address_prefix": "127.0.0.0", "prefix_len": 8}]}}]
    return config


ALL = (Sluice, Nginx, Haproxy, HaproxySplice, Squid, Envoy, Relay)
