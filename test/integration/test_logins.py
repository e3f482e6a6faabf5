"""Real programs log in through the proxy's 407: git and Chromium. (curl does in test_filters.py.)"""
import os
import shutil
import ssl
import subprocess
import unittest

from test.integration.test_programs import certificate
from test.support import config, names
from test.support.devtools import CHROMIUM, Chromium
from test.support.origin import ok
from test.support.proxy import IS_ENVOY, SLOW, ProxyTest

# Of the password "secret".
USERS = "ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="


class LoginTest(ProxyTest):
    """A forward proxy that lets only ann through."""

    def start_proxy(self):
        login = config.typed("sluice.filters.http.proxy_auth", "sluice.filters.http.proxy_auth.v1.ProxyAuth",
                             users={"inline_string": USERS}, realm="office")
        self.start(config.forward_proxy(self.names({"ok.t": names.address("127.0.0.1")}), log=self.log_path, filters=[login]))

    def counted(self, name):
        return self.proxy.stat("http.ingress.proxy_auth." + name)


@unittest.skipIf(IS_ENVOY, "Envoy answers no 407")
@unittest.skipUnless(shutil.which("git"), "there is no git")
class Git(LoginTest):
    """git, with its login in http.proxy, and git's own server behind the proxy."""

    def run_git(self, *arguments, code=0, through=None):
        """Runs git away from anybody's settings and returns what it said."""
        environment = {key: value for key, value in os.environ.items()
                       if not key.lower().endswith("_proxy") and not key.startswith("GIT_")}
        who = ["-c", "user.name=t", "-c", "user.email=t@t.t", "-c", "init.defaultBranch=main"]
        if through:
            who += ["-c", "http.proxy=http://%s@127.0.0.1:%d" % (through, self.proxy.port())]
        result = subprocess.run(
            ["git", *who, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=60 * SLOW, check=False,
            env={**environment, "HOME": self.files, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"})
        text = result.stdout.decode(errors="replace")
        self.assertEqual(code, result.returncode, text)
        return text

    def serve(self, request):
        """What `git http-backend`, a CGI program, answers to a request."""
        path, _, query = request.target.partition("?")
        environment = {
            "PATH": os.environ["PATH"], "HOME": self.files, "GIT_PROJECT_ROOT": self.files, "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": request.method, "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": request.header("content-type", ""), "CONTENT_LENGTH": str(len(request.body)),
            "HTTP_CONTENT_ENCODING": request.header("content-encoding", ""), "GIT_PROTOCOL": request.header("git-protocol", "")}
        output = subprocess.run(["git", "http-backend"], input=request.body, stdout=subprocess.PIPE, env=environment,
                                timeout=60 * SLOW, check=False).stdout
        head, _, body = output.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        status = [line[len("Status: "):] for line in lines if line.startswith("Status: ")] or ["200 OK"]
        fields = [line for line in lines if line and not line.startswith("Status: ")]
        return "\r\n".join(["HTTP/1.1 " + status[0], "content-length: %d" % len(body), *fields, "", ""]).encode() + body

    def start_server(self):
        """A repository with a file of 300 KB behind the proxy."""
        work, bare = os.path.join(self.files, "work"), os.path.join(self.files, "there.git")
        self.run_git("init", "-q", work)
        self.data = os.urandom(300000)
        self.write(work, "data", self.data)
        self.run_git("clone", "-q", "--bare", work, bare)
        self.run_git("-C", bare, "config", "http.receivepack", "true")
        self.server = self.origin(self.serve)
        self.url = "http://ok.t:%d/there.git" % self.server.port
        self.start_proxy()

    def write(self, folder, name, data):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(data)
        self.run_git("-C", folder, "add", name)
        self.run_git("-C", folder, "commit", "-q", "-m", name)

    def test_clone_and_push(self):
        self.start_server()
        here = os.path.join(self.files, "here")
        self.run_git("clone", "-q", self.url, here, through="ann:secret")
        with open(os.path.join(here, "data"), "rb") as file:
            self.assertTrue(file.read() == self.data)
        # More than http.postBuffer: git asks first and then sends it chunked.
        self.write(here, "more", os.urandom(1500000))
        self.run_git("-C", here, "push", "-q", "origin", "main", through="ann:secret")
        self.assertEqual(self.run_git("-C", here, "rev-parse", "main"),
                         self.run_git("-C", os.path.join(self.files, "there.git"), "rev-parse", "main"))
        for request in self.server.requests:
            self.assertIsNone(request.header("proxy-authorization"))
        self.assertEqual(len(self.server.requests), self.counted("allowed"))
        self.assertEqual(0, self.counted("denied"))

    def test_wrong_password(self):
        self.start_server()
        text = self.run_git("clone", "-q", self.url, os.path.join(self.files, "here"), code=128, through="ann:wrong")
        self.assertIn("407", text)
        self.assertEqual([], self.server.requests)
        self.assertEqual(0, self.counted("allowed"))
        self.assertGreaterEqual(self.counted("denied"), 1)


@unittest.skipIf(IS_ENVOY, "Envoy answers no 407")
@unittest.skipUnless(CHROMIUM, "there is no Chromium, which is large: tools/setup --chromium installs it")
class Browser(LoginTest):
    """Chromium, whose login dialog the test answers."""

    CHALLENGE = ("Proxy", "basic", "office")

    def browser(self):
        self.start_proxy()
        files = os.path.join(self.files, "chromium")
        os.mkdir(files)
        browser = Chromium(files, "--proxy-server=http://127.0.0.1:%d" % self.proxy.port(), "--ignore-certificate-errors")
        self.addCleanup(browser.close)
        return browser

    def page(self, context=None):
        return self.origin(ok(b"<p>in</p>", "content-type: text/html"), context=context)

    def test_plain(self):
        origin = self.page()
        browser = self.browser()
        browser.login = ("ann", "secret")
        url = "http://ok.t:%d/" % origin.port
        self.assertEqual((200, "in"), browser.load(url))
        self.assertEqual([self.CHALLENGE], browser.asked)
        # It remembers.
        self.assertEqual((200, "in"), browser.load(url + "again"))
        self.assertEqual([self.CHALLENGE], browser.asked)
        for request in origin.requests:
            self.assertIsNone(request.header("proxy-authorization"))

    def test_tunnel(self):
        cert, key = certificate(self.files)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        origin = self.page(context)
        browser = self.browser()
        browser.login = ("ann", "secret")
        self.assertEqual((200, "in"), browser.load("https://ok.t:%d/" % origin.port))
        self.assertEqual([self.CHALLENGE], browser.asked)
        self.assertGreaterEqual(self.counted("allowed"), 1)

    def test_wrong_password(self):
        origin = self.page()
        browser = self.browser()
        browser.login = ("ann", "wrong")
        status, text = browser.load("http://ok.t:%d/" % origin.port)
        self.assertEqual(407, status)
        self.assertNotEqual("in", text)
        # Asked again after the wrong password, it gave up.
        self.assertEqual([self.CHALLENGE] * 2, browser.asked)
        self.assertEqual([], origin.requests)
        self.assertGreaterEqual(self.counted("denied"), 1)


if __name__ == "__main__":
    unittest.main()
