"""Every file of examples/: valid as it stands, and it does what its first lines say."""
import glob
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
        self.assertEqual(40000, self.proxy.stat(
            "cluster.dynamic_forward_proxy.circuit_breakers.default.remaining_rq"))

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

    def test_connect_allow_list(self):
        origin = self.origin()
        self.example("connect_allow_list.yaml", {"build.example.net": names.address("127.0.0.1")})
        self.run_example()
        self.assertEqual(b"hello", self.connect("build.example.net:%d" % origin.port))
        for target in ("example.org:443", "example.com:80", "other.example.net:443"):
            self.assertEqual(403, self.connect(target))
        # These are allowed; the name does not exist here.
        for target in ("example.com:443", "www.example.com:443"):
            self.assertEqual(503, self.connect(target))
        self.assertEqual(403, self.ask("GET", "/", "example.com").status)


if __name__ == "__main__":
    unittest.main()
