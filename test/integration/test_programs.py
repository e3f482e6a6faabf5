"""Real programs on both sides: curl as the client, nginx and openssl as origins."""
import os
import shutil
import signal
import socket
import ssl
import subprocess
import unittest

from test.support import config, names
from test.support.client import Client
from test.support.proxy import SLOW, ProxyTest
from test.support.wait import wait_for

NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def certificate(folder, name="ok.t"):
    """A self-made certificate for `name`: paths of certificate and key."""
    paths = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                    "-nodes", "-days", "1", "-subj", "/CN=" + name, "-addext", "subjectAltName=DNS:" + name,
                    "-out", paths[0], "-keyout", paths[1]], check=True, stderr=subprocess.DEVNULL)
    return paths


class ProgramTest(ProxyTest):
    """Starts programs and ends them."""

    def egress(self, **fields):
        self.start(config.forward_proxy(self.names({"ok.t": names.address("127.0.0.1")}), log=self.log_path, **fields))
        self.through = "http://127.0.0.1:%d" % self.proxy.port()

    def curl(self, *arguments, code=0):
        """Runs curl and returns what it printed."""
        environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        result = subprocess.run(["curl", "-sS", "--max-time", str(20 * SLOW), *arguments],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env=environment, check=False)
        self.assertEqual(code, result.returncode, result.stderr)
        return result.stdout.decode()

    def program(self, *command, port=None, **keywords):
        """Starts a program that listens on `port` and waits until it does."""
        process = subprocess.Popen(command, stdin=keywords.pop("stdin", subprocess.DEVNULL),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **keywords)

        def end():
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.addCleanup(end)

        def listens():
            self.assertIsNone(process.poll(), "%s ended" % command[0])
            try:
                Client(port).close()
                return True
            except OSError:
                return False
        wait_for(listens, 10 * SLOW, command[0])
        return process

    def free_port(self):
        """A port that was free a moment ago, for programs that cannot choose one themselves."""
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]


class Curl(ProgramTest):
    """What curl's users do with a proxy."""

    def test_absolute_form(self):
        origin = self.origin()
        self.egress()
        self.assertEqual("hello", self.curl("-x", self.through, "http://ok.t:%d/" % origin.port))

    def test_by_host(self):
        origin = self.origin()
        self.egress()
        self.assertEqual("hello", self.curl("-H", "Host: ok.t:%d" % origin.port, self.through + "/"))

    def test_post_and_reuse(self):
        origin = self.origin(lambda request: b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" %
                             (len(request.body), request.body))
        self.egress()
        url = "http://ok.t:%d/" % origin.port
        self.assertEqual("abcabc", self.curl("-x", self.through, "-d", "abc", url, url))
        self.proxy.wait_stat("http.ingress.downstream_cx_total", 1)

    def test_chunked_upload(self):
        origin = self.origin(lambda request: b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n%06d" %
                             len(request.body))
        self.egress()
        path = os.path.join(self.files, "data")
        with open(path, "wb") as file:
            file.write(b"x" * 300000)
        self.assertEqual("300000", self.curl("-x", self.through, "-H", "Transfer-Encoding: chunked",
                                             "-T", path, "http://ok.t:%d/" % origin.port))

    def test_proxytunnel_of_plain_http(self):
        origin = self.origin()
        self.egress()
        self.assertEqual("hello", self.curl("-p", "-x", self.through, "http://ok.t:%d/" % origin.port))
        self.assertEqual("CONNECT", self.log()["method"])

    def test_unresolvable(self):
        self.egress()
        self.assertEqual("DNS resolution failure503", self.curl(
            "-x", self.through, "-w", "%{http_code}", "http://nx.t/"))
        # 56: the proxy did not let curl through.
        self.curl("-x", self.through, "https://nx.t/", code=56)


class Tls(ProgramTest):
    """https through CONNECT."""

    def test_python_origin(self):
        cert, key = certificate(self.files)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        origin = self.origin(context=context)
        self.egress()
        self.assertEqual("hello", self.curl("-x", self.through, "--cacert", cert,
                                            "https://ok.t:%d/" % origin.port))
        entry = self.log()
        self.assertEqual(("CONNECT", 200), (entry["method"], entry["code"]))

    def test_openssl_origin(self):
        cert, key = certificate(self.files)
        port = self.free_port()
        self.program("openssl", "s_server", "-accept", "127.0.0.1:%d" % port, "-cert", cert, "-key", key,
                     "-www", "-quiet", port=port)
        self.egress()
        text = self.curl("-x", self.through, "--cacert", cert, "https://ok.t:%d/" % port)
        self.assertIn("s_server", text)

    def test_wrong_name_is_the_clients_business(self):
        cert, key = certificate(self.files, "other.t")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        origin = self.origin(context=context)
        self.egress()
        self.curl("-x", self.through, "--cacert", cert, "https://ok.t:%d/" % origin.port, code=60)


class ServerName(ProgramTest):
    """Transparent egress: s_client talks to s_server, and nobody in between ends the TLS."""

    def through(self, port, guard=None, **filter_fields):
        settings = config.dns_cache(self.names({"ok.t": names.address("127.0.0.1")}))
        sni = config.typed("envoy.filters.network.sni_dynamic_forward_proxy",
                           "envoy.extensions.filters.network.sni_dynamic_forward_proxy.v3.FilterConfig",
                           dns_cache_config=settings, port_value=port, **filter_fields)
        inspector = config.typed("envoy.filters.listener.tls_inspector",
                                 "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector")
        content = config.listener(config.tcp("dfp", log=self.log_path), listener_filters=[inspector])
        content["filter_chains"][0]["filters"].insert(0, sni)
        fields = {} if guard is None else {"bootstrap_extensions": [guard]}
        self.start(config.bootstrap(content, [config.dfp_cluster(settings)], **fields))

    def connect(self, cert, name="ok.t"):
        """What s_client gets for a request in the connection, and its exit code."""
        result = subprocess.run(
            ["openssl", "s_client", "-connect", "127.0.0.1:%d" % self.proxy.port(), "-quiet", "-servername", name,
             "-CAfile", cert, "-verify_return_error"], input=b"GET / HTTP/1.0\r\n\r\n",
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=20 * SLOW, check=False)
        return result.stdout.decode(), result.returncode

    def server(self):
        cert, key = certificate(self.files)
        port = self.free_port()
        self.program("openssl", "s_server", "-accept", "127.0.0.1:%d" % port, "-cert", cert, "-key", key,
                     "-www", "-quiet", port=port)
        return cert, port

    def test_to_the_port(self):
        cert, port = self.server()
        self.through(port)
        text, code = self.connect(cert)
        self.assertIn("s_server", text)
        self.assertEqual(0, code)
        entry = self.log()
        self.assertEqual(("127.0.0.1:%d" % port, "-"), (entry["upstream"], entry["flags"] or "-"))

    def test_the_guard_applies(self):
        cert, port = self.server()
        self.through(port, guard=config.egress_guard())
        text, code = self.connect(cert)
        self.assertEqual("", text)
        self.assertNotEqual(0, code)
        self.assertIsNone(self.log()["upstream"])
        self.assertEqual(0, self.proxy.stat("cluster.dfp.upstream_cx_total"))

    def test_no_such_name(self):
        cert, port = self.server()
        self.through(port)
        text, code = self.connect(cert, "nx.t")
        self.assertEqual("", text)
        self.assertNotEqual(0, code)
        self.assertEqual("DF", self.log()["flags"])

    def test_what_is_refused(self):
        with self.assertRaises(AssertionError) as caught:
            self.through(1, save_upstream_address=True)
        self.assertIn("filters[0].typed_config: 'save_upstream_address' is a known Envoy field", str(caught.exception))


class Nginx(ProgramTest):
    """nginx as the origin, with its own folder and port."""

    CONFIG = """
daemon off; pid %(folder)s/pid; error_log %(folder)s/error.log; worker_processes 1;
events { worker_connections 512; }
http {
  access_log off; client_body_temp_path %(folder)s/body; proxy_temp_path %(folder)s/proxy;
  fastcgi_temp_path %(folder)s/f; uwsgi_temp_path %(folder)s/u; scgi_temp_path %(folder)s/s;
  keepalive_requests 5; gzip on; gzip_min_length 1; gzip_types text/plain;
  server {
    listen 127.0.0.1:%(port)d; root %(folder)s/root; default_type text/plain;
    location = /echo { return 200 "$request_method $host $http_x_test"; }
    location = /none { return 204; }
    location = /moved { return 302 /elsewhere; }
  }
}
"""

    def nginx(self):
        self.assertIsNotNone(NGINX, "nginx is missing: run tools/setup")
        folder = os.path.join(self.files, "nginx")
        os.makedirs(os.path.join(folder, "root"))
        os.chmod(self.files, 0o755)
        for path in (folder, os.path.join(folder, "root")):
            os.chmod(path, 0o755)
        self.big = os.urandom(1 << 16) * 80
        for name, data in (("small.txt", b"small " * 100), ("big.bin", self.big)):
            with open(os.path.join(folder, "root", name), "wb") as file:
                file.write(data)
        port = self.free_port()
        path = os.path.join(folder, "nginx.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.CONFIG % {"folder": folder, "port": port})
        self.program(NGINX, "-c", path, "-p", folder, port=port)
        self.egress()
        self.url = "http://ok.t:%d" % port
        self.authority = "ok.t:%d" % port

    def test_requests(self):
        self.nginx()
        self.assertEqual("GET ok.t yes", self.curl("-x", self.through, "-H", "X-Test: yes", self.url + "/echo"))
        self.assertEqual("POST ok.t ", self.curl("-x", self.through, "-d", "x", self.url + "/echo"))
        self.assertEqual("small " * 100, self.curl("-x", self.through, "--compressed", self.url + "/small.txt"))
        self.assertEqual("204", self.curl("-x", self.through, "-w", "%{http_code}", self.url + "/none"))
        self.assertEqual("404", self.curl("-x", self.through, "-o", "/dev/null", "-w", "%{http_code}",
                                          self.url + "/absent"))
        self.assertIn("302", self.curl("-x", self.through, "-I", self.url + "/moved"))

    def test_big_file_and_ranges(self):
        self.nginx()
        with self.client(timeout=30) as client:
            answer = client.ask("GET", "/big.bin", self.authority)
            self.assertTrue(answer.body == self.big)
            answer = client.ask("GET", "/big.bin", self.authority, [("Range", "bytes=10-19")])
            self.assertEqual((206, self.big[10:20]), (answer.status, answer.body))

    def test_many_requests_over_closing_connections(self):
        """nginx closes each connection after five requests; no request fails for that."""
        self.nginx()
        with self.client() as client:
            statuses = [client.ask("GET", "/echo", self.authority).status for _ in range(200)]
        self.assertEqual([200] * 200, statuses)

    def test_graceful_end_of_the_origin(self):
        self.nginx()
        with self.client() as client:
            self.assertEqual(200, client.ask("GET", "/echo", self.authority).status)
            with open(os.path.join(self.files, "nginx", "pid"), encoding="ascii") as file:
                pid = int(file.read())
            os.kill(pid, signal.SIGTERM)
            wait_for(lambda: not self.answers(), 5, "nginx to end")
            self.assertEqual(503, client.ask("GET", "/echo", self.authority).status)

    def answers(self):
        try:
            Client(int(self.authority.split(":")[1])).close()
            return True
        except OSError:
            return False


if __name__ == "__main__":
    unittest.main()
