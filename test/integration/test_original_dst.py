"""Transparent egress: iptables sends connections here, and they go on to where they were meant to go."""
import os
import shutil
import subprocess
import sys
import unittest

from test.support import config
from test.support.client import Client
from test.support.origin import HttpOrigin, ok
from test.support.proxy import IS_ENVOY, ROOT, ProxyTest

ORIGINAL_DST = config.typed("envoy.filters.listener.original_dst",
                            "envoy.extensions.filters.listener.original_dst.v3.OriginalDst")
INSIDE = "SLUICE_TEST_NAMESPACE"


def original_dst_cluster(**fields):
    return {"name": "dst", "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED", "connect_timeout": "2s", **fields}


def can_have_namespaces():
    """Whether this process may make a network namespace with rules of its own."""
    if not shutil.which("iptables") or not shutil.which("unshare"):
        return False
    probe = subprocess.run(["unshare", "--net", "iptables", "-t", "nat", "-L"], stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, timeout=30, check=False)
    return probe.returncode == 0


class Redirected(ProxyTest):
    """Run again by the test below, in a network namespace of its own."""

    @unittest.skipUnless(os.environ.get(INSIDE), "runs in a namespace")
    def test_http_and_tcp(self):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True, timeout=10)
        subprocess.run(["ip", "addr", "add", "127.0.0.9/8", "dev", "lo"], check=False, timeout=10)
        origin = HttpOrigin(ok(b"origin"), address="127.0.0.9")
        self.addCleanup(origin.close)
        self.start(config.bootstrap(
            config.listener(config.http([config.forward("dst")], log=self.log_path), listener_filters=[ORIGINAL_DST]),
            [original_dst_cluster()]))
        # The proxy's own connections must not be redirected: they have a mark in real life, here another user.
        subprocess.run(["iptables", "-t", "nat", "-A", "OUTPUT", "-p", "tcp", "-d", "127.0.0.9", "--dport",
                        str(origin.port), "-m", "owner", "--uid-owner", "65534", "-j", "REDIRECT", "--to-ports",
                        str(self.proxy.port())], check=True, timeout=10)
        asked = subprocess.run(["setpriv", "--reuid=65534", "curl", "-s", "-S", "--max-time", "10",
                                "http://127.0.0.9:%d/x" % origin.port], stdout=subprocess.PIPE, timeout=30, check=True)
        self.assertEqual(b"origin", asked.stdout)
        self.assertEqual("127.0.0.9:%d" % origin.port, self.log()["upstream"])
        self.proxy.wait_stat("cluster.dst.upstream_rq_200", 1)


class OriginalDst(ProxyTest):
    @unittest.skipUnless(can_have_namespaces(), "needs iptables and a network namespace")
    def test_in_a_namespace(self):
        run = subprocess.run(["unshare", "--net", sys.executable, "-m", "unittest",
                              "test.integration.test_original_dst.Redirected"],
                             cwd=ROOT, env={**os.environ, INSIDE: "1"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             timeout=90, check=False)
        self.assertEqual(0, run.returncode, run.stdout.decode())
        self.assertIn("OK\n", run.stdout.decode())

    def test_by_header(self):
        origin = self.origin()
        self.start(config.bootstrap(
            config.listener(config.http([config.forward("dst")], log=self.log_path)),
            [original_dst_cluster(original_dst_lb_config={"use_http_header": True})]))
        where = [("x-envoy-original-dst-host", "127.0.0.1:%d" % origin.port)]
        self.assertEqual(200, self.ask("GET", "/", "h", where).status)
        self.assertEqual(503, self.ask("GET", "/", "h", [("x-envoy-original-dst-host", "nonsense")]).status)

    def test_port_override(self):
        origin = self.origin()
        self.start(config.bootstrap(
            config.listener(config.http([config.forward("dst")], log=self.log_path)),
            [original_dst_cluster(original_dst_lb_config={"use_http_header": True, "upstream_port_override": origin.port})]))
        self.assertEqual(200, self.ask("GET", "/", "h", [("x-envoy-original-dst-host", "127.0.0.1:1")]).status)
        self.assertEqual(503, self.ask("GET", "/", "h").status)
        self.assertEqual(1, len(origin.requests))

    def test_a_connection_that_was_not_redirected_does_not_come_back_to_us(self):
        self.start(config.bootstrap(
            config.listener(config.http([config.forward("dst")], log=self.log_path), listener_filters=[ORIGINAL_DST]),
            [original_dst_cluster()]))
        with Client(self.proxy.port()) as client:
            self.assertEqual(503 if IS_ENVOY else 403, client.ask("GET", "/", "h").status)


if __name__ == "__main__":
    unittest.main()
