"""Every file of examples/: valid as it stands, and it does what its first lines say."""
import base64
import glob
import json
import os
import subprocess
import unittest

import yaml

from test.support import config, names
from test.support.client import Client
from test.support.origin import ok
from test.support.proxy import BINARY, ROOT, ProxyTest

FOLDER = os.path.join(ROOT, "examples")


class Examples(ProxyTest):
    """The examples use fixed ports and the system's DNS; here they get free ports and our DNS."""

    def example(self, name, zone=None):
        """Reads the example `name` for run_example(). `zone` is what the DNS knows."""
        server = self.names(zone or {})
        with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
            self.content = yaml.safe_load(file)
        resolver = config.resolver(server)

        def patch(node, key=""):
            if isinstance(node, list):
                for item in node:
                    patch(item, key)
            elif isinstance(node, dict):
                if key == "dns_cache_config":
                    node["typed_dns_resolver_config"] = resolver
                for inner, value in node.items():
                    patch(value, inner)
        patch(self.content)
        self.content["admin"]["address"]["socket_address"]["port_value"] = 0
        for listener in self.content["static_resources"]["listeners"]:
            listener["address"]["socket_address"]["port_value"] = 0
            self.name = listener["name"]

    def run_example(self):
        self.start(self.content)

    def ask(self, method, target, host=None, headers=(), body=None):
        with Client(self.proxy.port(self.name)) as client:
            return client.ask(method, target, host, headers, body)

    def connect(self, target):
        """Opens a tunnel to `target` and asks through it. Returns the body, or the status of a refusal."""
        with Client(self.proxy.port(self.name)) as client:
            client.request("CONNECT", target, target)
            answer = client.response("CONNECT")
            if answer.status != 200:
                return answer.status
            client.request("GET", "/", target)
            return client.response().body

    def check_old_python(self, target, login=""):
        """As Python's http.client up to 3.11 asks for a tunnel."""
        line = "Proxy-Authorization: Basic %s\r\n" % base64.b64encode(login.encode()).decode() if login else ""
        with Client(self.proxy.port(self.name)) as client:
            client.send("CONNECT %s HTTP/1.0\r\n%s\r\n" % (target, line))
            self.assertEqual(200, client.response("CONNECT").status)
            client.request("GET", "/", target)
            self.assertEqual(200, client.response().status)

    def test_all_are_valid(self):
        files = sorted(glob.glob(os.path.join(FOLDER, "*.yaml")))
        self.assertGreaterEqual(len(files), 4)
        for path in files:
            with self.subTest(path=os.path.basename(path)):
                result = subprocess.run([BINARY, "--mode", "validate", "-c", path], timeout=60, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
                self.assertEqual((0, "configuration '%s' OK\n" % path), (result.returncode, result.stdout),
                                 result.stderr)

    def test_egress(self):
        origin = self.origin()
        authority = "example.com:%d" % origin.port
        self.example("egress.yaml", {"example.com": names.address("127.0.0.1")})
        self.run_example()
        self.assertEqual(b"hello", self.ask("GET", "http://%s/" % authority, authority).body)
        self.assertEqual(b"hello", self.ask("GET", "/", "gateway", [("x-rewrite-me", authority)]).body)
        self.assertEqual(b"hello", self.connect(authority))
        self.check_old_python(authority)
        self.proxy.wait_stat(
            "cluster.dynamic_forward_proxy.circuit_breakers.default.remaining_rq", 40000)

    def test_gateway_host_header(self):
        origin = self.origin()
        authority = "example.com:%d" % origin.port
        self.example("gateway_host_header.yaml", {"example.com": names.address("127.0.0.1")})
        self.run_example()
        self.assertEqual(b"hello", self.ask("GET", "/", "gateway", [("x-rewrite-me", authority)]).body)
        self.assertIsNone(origin.requests[0].header("x-rewrite-me"))
        self.assertEqual(authority, origin.requests[0].header("host"))
        answer = self.ask("GET", "/", authority)
        self.assertEqual((400, "say the target in x-rewrite-me\n"), (answer.status, answer.text()))

    def test_reverse_proxy(self):
        origins = [self.origin(ok(b"%d" % number)) for number in range(2)]
        self.example("reverse_proxy.yaml")
        endpoints = self.content["static_resources"]["clusters"][0]["load_assignment"]["endpoints"][0]
        for endpoint, origin in zip(endpoints["lb_endpoints"], origins):
            endpoint["endpoint"]["address"]["socket_address"]["port_value"] = origin.port
        self.run_example()
        self.assertEqual("ok\n", self.ask("GET", "/healthz", "h").text())
        with Client(self.proxy.port(self.name)) as client:
            bodies = {client.ask("GET", "/", "h").body for _ in range(4)}
        self.assertEqual({b"0", b"1"}, bodies)

    def test_egress_rate_limit(self):
        origin = self.origin()
        authority = "example.com:%d" % origin.port
        self.example("egress_rate_limit.yaml", {"example.com": names.address("127.0.0.1")})
        manager = self.content["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
        limit = manager["http_filters"][0]["typed_config"]["token_bucket"]
        self.assertEqual({"max_tokens": 1000, "tokens_per_fill": 1000, "fill_interval": "1s"}, limit)
        limit.update(max_tokens=2, tokens_per_fill=1, fill_interval="3600s")
        log = manager["access_log"][0]["typed_config"]
        manager["access_log"] = [config.file_log(self.log_path, log_format=log["log_format"])]
        self.run_example()
        self.assertEqual(b"hello", self.ask("GET", "http://%s/a?b" % authority, authority).body)
        self.assertEqual(b"hello", self.connect(authority))
        self.assertEqual(429, self.ask("GET", "http://%s/" % authority, authority).status)
        lines = [json.loads(line) for line in self.proxy.lines(self.log_path, 3)]
        self.assertEqual({(200, "/a"), (200, None), (429, "/")}, {(line["status"], line["path"]) for line in lines})
        over = [line for line in lines if line["status"] == 429][0]
        self.assertEqual(("RL", None, "127.0.0.1"), (over["flags"], over["dialled"], over["client"]))
        self.proxy.wait_stat("egress.http_local_rate_limit.rate_limited", 1)

    def test_forward_proxy_auth(self):
        origin = self.origin()
        authority = "example.com:%d" % origin.port
        self.example("forward_proxy_auth.yaml", {"example.com": names.address("127.0.0.1")})
        self.run_example()
        answer = self.ask("GET", "http://%s/" % authority, authority)
        self.assertEqual((407, 'Basic realm="office"'), (answer.status, answer.header("proxy-authenticate")))
        self.assertEqual(407, self.connect(authority))
        self.check_old_python(authority, "ann:secret")
        known = "Basic " + base64.b64encode(b"ann:secret").decode()
        wrong = "Basic " + base64.b64encode(b"ann:guess").decode()
        for value, status in ((known, 200), (wrong, 407), (known, 200)):
            answer = self.ask("GET", "http://%s/" % authority, authority, [("proxy-authorization", value)])
            self.assertEqual(status, answer.status)
        self.assertIsNone(origin.requests[0].header("proxy-authorization"))

    def test_reverse_proxy_retries(self):
        good = self.origin(ok(b"good"))
        bad = self.origin(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n")
        self.example("reverse_proxy_retries.yaml")
        endpoints = self.content["static_resources"]["clusters"][0]["load_assignment"]["endpoints"][0]
        for endpoint, origin in zip(endpoints["lb_endpoints"], (good, bad)):
            endpoint["endpoint"]["address"]["socket_address"]["port_value"] = origin.port
        self.run_example()
        for _ in range(20):
            self.assertEqual(b"good", self.ask("GET", "/", "h").body)
        # Five bad answers were enough: then it was left out.
        self.proxy.wait_stat("cluster.servers.outlier_detection.ejections_active", 1)
        self.assertEqual(5, len(bad.requests))

    def test_connect_allow_list(self):
        origin = self.origin()
        self.example("connect_allow_list.yaml", {"build.example.net": names.address("127.0.0.1")})
        self.run_example()
        self.assertEqual(b"hello", self.connect("build.example.net:%d" % origin.port))
        self.check_old_python("build.example.net:%d" % origin.port)
        for target in ("example.org:443", "example.com:80", "other.example.net:443"):
            self.assertEqual(403, self.connect(target))
        # These are allowed; the name does not exist here.
        for target in ("example.com:443", "www.example.com:443"):
            self.assertEqual(503, self.connect(target))
        self.assertEqual(403, self.ask("GET", "/", "example.com").status)


if __name__ == "__main__":
    unittest.main()
