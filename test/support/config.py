"""Writes the bootstraps of the integration tests: small functions that return parts of Envoy's v3 configuration.

Everything that every test's configuration has in common stands here, so that a change of the
defaults is one line. The fixture (proxy.py) opens loopback to the dynamic forward proxy.
"""

TYPES = "type.googleapis.com/"
HTTP_MANAGER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
TCP_PROXY = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
DFP = "envoy.filters.http.dynamic_forward_proxy"
DFP_PACKAGE = "envoy.extensions.filters.http.dynamic_forward_proxy.v3."

# What the tests look at; the names are ours, the operators Envoy's.
LOG_FORMAT = {
    "start": "%START_TIME(%s.%6f)%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(:PATH)%",
    "authority": "%REQ(:AUTHORITY)%",
    "protocol": "%PROTOCOL%",
    "code": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "received": "%BYTES_RECEIVED%",
    "sent": "%BYTES_SENT%",
    "duration": "%DURATION%",
    "upstream": "%UPSTREAM_HOST%",
    "cluster": "%UPSTREAM_CLUSTER%",
    "route": "%ROUTE_NAME%",
}


def typed(name, message, **fields):
    """An extension: `name` and a typed_config of type `message`."""
    return {"name": name, "typed_config": {"@type": TYPES + message, **fields}}


def socket_address(address="127.0.0.1", port=0):
    return {"socket_address": {"address": address, "port_value": port}}


def router(**fields):
    return typed("envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router", **fields)


def dns_cache(name_server, name="cache", **fields):
    """A DnsCacheConfig that asks `name_server` (a DnsServer, or None for the system's)."""
    cache = {"name": name, "dns_lookup_family": "V4_ONLY", **fields}
    if name_server is not None:
        cache["typed_dns_resolver_config"] = resolver(name_server)
    return cache


def resolver(name_server):
    return typed("envoy.network.dns_resolver.cares",
                 "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
                 resolvers=[socket_address(port=name_server.port)],
                 dns_resolver_options={"no_default_search_domain": True})


def dfp_filter(cache, **fields):
    return typed(DFP, DFP_PACKAGE + "FilterConfig", dns_cache_config=cache, **fields)


def sub_cluster_proxy(name_server, log=None, sub_clusters=None, filter_fields=None, **cluster_fields):
    """An egress proxy in sub-cluster mode."""
    cluster = {
        "name": "dfp", "connect_timeout": "2s", "lb_policy": "CLUSTER_PROVIDED", "dns_lookup_family": "V4_ONLY",
        "typed_dns_resolver_config": resolver(name_server),
        "cluster_type": typed("envoy.clusters.dynamic_forward_proxy",
                              "envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig",
                              sub_clusters_config=sub_clusters or {}),
        **cluster_fields,
    }
    manager = http([connect(), forward()], log=log, upgrade_configs=[{"upgrade_type": "CONNECT"}],
                   filters=[typed(DFP, DFP_PACKAGE + "FilterConfig", sub_cluster_config=filter_fields or {})])
    return bootstrap(listener(manager), [cluster])


def dfp_per_route(**fields):
    """The value of a route's typed_per_filter_config."""
    return {DFP: {"@type": TYPES + DFP_PACKAGE + "PerRouteConfig", **fields}}


def dfp_cluster(cache, name="dfp", connect_timeout="2s", **fields):
    return {
        "name": name,
        "connect_timeout": connect_timeout,
        "lb_policy": "CLUSTER_PROVIDED",
        "cluster_type": typed("envoy.clusters.dynamic_forward_proxy",
                              "envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig",
                              dns_cache_config=cache),
        **fields,
    }


def cluster(name, *ports, address="127.0.0.1", kind="STATIC", connect_timeout="2s", **fields):
    """A cluster of fixed endpoints on the given ports."""
    endpoints = [{"endpoint": {"address": socket_address(address, port)}} for port in ports]
    return {
        "name": name,
        "type": kind,
        "connect_timeout": connect_timeout,
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
        **fields,
    }


def breakers(**thresholds):
    """Circuit breakers of a cluster, as a keyword argument."""
    return {"circuit_breakers": {"thresholds": [thresholds]}}


def idle_timeout(seconds):
    """Upstream idle timeout of a cluster, as a keyword argument."""
    name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    return {"typed_extension_protocol_options": {name: {
        "@type": TYPES + name,
        "common_http_protocol_options": {"idle_timeout": "%gs" % seconds},
        "explicit_http_config": {"http_protocol_options": {}},
    }}}


def file_log(path, **fields):
    return typed("envoy.access_loggers.file", "envoy.extensions.access_loggers.file.v3.FileAccessLog",
                 path=path, **fields)


def json_log(path):
    return file_log(path, log_format={"json_format": LOG_FORMAT})


def forward(cluster_name="dfp", prefix="/", action=None, match=None, **fields):
    """A route that forwards to a cluster. `action` adds to the route action, `match` to the match."""
    return {"match": {"prefix": prefix, **(match or {})},
            "route": {"cluster": cluster_name, **(action or {})}, **fields}


def connect(cluster_name="dfp", **action):
    """A route that terminates CONNECT into a tunnel."""
    return {"match": {"connect_matcher": {}},
            "route": {"cluster": cluster_name,
                      "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}], **action}}


def direct(status, body=None, prefix="/", **match):
    response = {"status": status}
    if body is not None:
        response["body"] = {"inline_string": body}
    return {"match": {"prefix": prefix, **match}, "direct_response": response}


def virtual_host(routes, domains=("*",), name="any", **fields):
    return {"name": name, "domains": list(domains), "routes": routes, **fields}


def http(routes=None, hosts=None, filters=(), log=None, prefix="ingress", **fields):
    """An HTTP connection manager. `log` is the path of a JSON access log, or a list of loggers."""
    if isinstance(log, str):
        log = [json_log(log)]
    return typed("envoy.filters.network.http_connection_manager", HTTP_MANAGER,
                 stat_prefix=prefix,
                 access_log=log or [],
                 http_filters=[*filters, router()],
                 route_config={"name": "routes", "virtual_hosts": hosts or [virtual_host(routes)]},
                 **fields)


def tcp(cluster_name, prefix="tcp", log=None, **fields):
    if log:
        fields["access_log"] = [json_log(log)]
    return typed("envoy.filters.network.tcp_proxy", TCP_PROXY, stat_prefix=prefix, cluster=cluster_name,
                 **fields)


def listener(network_filter, name="main", address=None, **fields):
    return {"name": name, "address": address or socket_address(),
            "filter_chains": [{"filters": [network_filter]}], **fields}


def cidr(prefix, length):
    return {"address_prefix": prefix, "prefix_len": length}


def egress_guard(**fields):
    """The process-wide egress guard, for `bootstrap_extensions`."""
    return typed("sluice.bootstrap.egress_guard", "sluice.egress.v1.EgressGuard", **fields)


LOOPBACK = [cidr("127.0.0.0", 8), cidr("::1", 128)]


def with_origins_on_loopback(content):
    """The same bootstrap with an egress guard that lets the origins of the tests be dialled, unless it says otherwise."""
    if "bootstrap_extensions" in content:
        return content
    return {**content, "bootstrap_extensions": [egress_guard(allow_ranges=LOOPBACK)]}


def bootstrap(listeners, clusters=(), **fields):
    """The whole file. The ports are 0: the proxy chooses and the fixture asks the admin page."""
    if isinstance(listeners, dict):
        listeners = [listeners]
    return {
        "admin": {"address": socket_address()},
        "static_resources": {"listeners": list(listeners), "clusters": list(clusters)},
        **fields,
    }


def forward_proxy(name_server, log=None, cache=None, cluster_fields=None, routes=None, filters=(), **fields):
    """The usual egress proxy: plain requests and CONNECT, to wherever the client says."""
    settings = dns_cache(name_server, **(cache or {}))
    manager = http(routes or [connect(), forward()], filters=[*filters, dfp_filter(settings)], log=log,
                   upgrade_configs=[{"upgrade_type": "CONNECT"}], **fields)
    return bootstrap(listener(manager), [dfp_cluster(settings, **(cluster_fields or {}))])
