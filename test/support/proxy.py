"""Starts the proxy under test on a configuration and looks at it through its admin page and logs.

SLUICE_BINARY names the binary: ours, a sanitizer build of it, or Envoy itself, against which the
tests are proved.
"""
import http.client
import json
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import unittest
from functools import lru_cache

from test.support.client import Client
from test.support.config import with_origins_on_loopback
from test.support.dns_server import DnsServer
from test.support.origin import HttpOrigin, RawOrigin
from test.support.wait import wait_for

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
BINARY = os.environ.get("SLUICE_BINARY", os.path.join(ROOT, "bazel-bin/source/main/sluice"))
IS_ENVOY = os.path.basename(BINARY) == "envoy"
SANITIZER = os.environ.get("SLUICE_SANITIZER", "")
# Sanitizers slow everything down; a loaded machine does, too.
SLOW = 5 if SANITIZER else 1


@lru_cache(maxsize=None)
def has_option(name):
    """Whether the binary knows the command-line option `name`."""
    text = subprocess.run([BINARY, "--help"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=30, check=False).stdout.decode()
    return name in text


class Proxy:
    """One running proxy. `files` is a folder of its own, for configuration, logs and sockets.

    The origins of the tests are on loopback, which our egress guard denies: a configuration that has no guard of its own gets
    one that allows it, unless `open_loopback` is false.
    """

    def __init__(self, config, arguments=(), open_files=None, files=None, concurrency=2, open_loopback=True, environment=None):
        self.files = files or tempfile.mkdtemp(prefix="sluice.")
        self.log_path = os.path.join(self.files, "proxy.log")
        self.config_path = os.path.join(self.files, "config.yaml")
        if isinstance(config, str):
            self.config_path = config
        else:
            if open_loopback and not IS_ENVOY:
                config = with_origins_on_loopback(config)
            with open(self.config_path, "w", encoding="utf-8") as file:
                json.dump(config, file, indent=1)
        self._admin_path = os.path.join(self.files, "admin")
        command = [BINARY, "-c", self.config_path, "--admin-address-path", self._admin_path,
                   "--concurrency", str(concurrency), *arguments]
        if has_option("--file-flush-interval-msec"):
            command += ["--file-flush-interval-msec", "20"]
        if IS_ENVOY:
            command += ["--disable-hot-restart"]

        def limit():
            if open_files:
                resource.setrlimit(resource.RLIMIT_NOFILE, (open_files, open_files))

        with open(self.log_path, "wb") as log:
            # Started in its own session: a signal to the tests is not one to the proxy.
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            preexec_fn=limit, start_new_session=True,
                                            env={**os.environ, **(environment or {})})
        self._ports = None
        try:
            wait_for(self._is_ready, 20 * SLOW, "/ready")
        except AssertionError:
            self.kill()
            raise AssertionError("did not become ready (exit code %r):\n%s" %
                                 (self.process.returncode, self.log())) from None

    def _is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError("the proxy ended")
        try:
            return self.admin("/ready").status == 200
        except (OSError, ValueError, IndexError, http.client.HTTPException):
            return False

    @property
    def pid(self):
        return self.process.pid

    @property
    def admin_port(self):
        with open(self._admin_path, encoding="utf-8") as file:
            return int(file.read().strip().rsplit(":", 1)[1])

    def admin(self, path, method="GET"):
        """Asks the admin page. The response has .status, .headers, .text and .json()."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=10)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            response.text = response.read().decode()
            response.json = lambda: json.loads(response.text)
            return response
        finally:
            connection.close()

    def port(self, name="main"):
        """The port on which the listener `name` listens."""
        if self._ports is None:
            ports = {}
            for line in self.admin("/listeners").text.splitlines():
                listener, _, address = line.partition("::")
                ports[listener] = int(address.rsplit(":", 1)[1]) if ":" in address else address
            self._ports = ports
        return self._ports[name]

    def stats(self, pattern=""):
        """The counters and gauges as a dictionary."""
        values = {}
        for line in self.admin("/stats" + ("?filter=" + pattern if pattern else "")).text.splitlines():
            name, _, value = line.partition(": ")
            if value.isdigit():
                values[name] = int(value)
        return values

    def stat(self, name):
        return self.stats().get(name)

    def wait_stat(self, name, value, seconds=5):
        """Waits until the counter or gauge `name` is `value`."""
        try:
            wait_for(lambda: self.stat(name) == value, seconds * SLOW)
        except AssertionError:
            raise AssertionError("%s is %r, not %r" % (name, self.stat(name), value)) from None

    def path(self, name):
        """A path in the folder of this proxy."""
        return os.path.join(self.files, name)

    def log(self):
        """What it printed."""
        with open(self.log_path, "rb") as file:
            return file.read().decode(errors="replace")

    def lines(self, path, count, seconds=15):
        """Waits for `count` complete lines in the file `path` and returns all that it has."""
        def read():
            if not os.path.exists(path):
                return None
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                text = file.read()
            lines = text.splitlines()
            return lines if text.endswith("\n") and len(lines) >= count else None
        return wait_for(read, seconds, "%d lines in %s" % (count, os.path.basename(path)))

    def rss(self):
        """Resident memory in bytes."""
        with open("/proc/%d/statm" % self.pid, encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize()

    def cpu(self):
        """Seconds of CPU used so far."""
        with open("/proc/%d/stat" % self.pid, encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def signal(self, number):
        self.process.send_signal(number)

    def wait_exit(self, seconds=10):
        """Waits for the end and returns the exit code."""
        return self.process.wait(seconds * SLOW)

    def running(self):
        return self.process.poll() is None

    def check_idle(self):
        """Fails unless all gauges of work in progress return to zero."""
        def busy():
            stats = self.stats("(downstream_cx_active|_rq_active|pending_active|upgrades_active)$")
            return {name: value for name, value in stats.items()
                    if value and not name.startswith(("http.admin.", "listener.admin.", "listener_manager"))}
        try:
            wait_for(lambda: not busy(), 5 * SLOW)
        except AssertionError:
            raise AssertionError("still busy: %r" % busy()) from None

    def stop(self):
        """Ends it and checks that nothing was left over: gauges at zero, exit code 0."""
        if not self.running():
            return
        try:
            self.check_idle()
            self.signal(signal.SIGTERM)
            code = self.wait_exit()
            if code != 0:
                raise AssertionError("exit code %d:\n%s" % (code, self.log()[-8000:]))
        finally:
            self.kill()

    def kill(self):
        if self.running():
            self.process.kill()
        self.process.wait()

    def clean(self):
        shutil.rmtree(self.files, ignore_errors=True)


class ProxyTest(unittest.TestCase):
    """A test with proxies, origins and clients that are closed at its end, in reverse order."""

    maxDiff = None

    def setUp(self):
        self.files = tempfile.mkdtemp(prefix="sluice.")
        self.addCleanup(shutil.rmtree, self.files, ignore_errors=True)
        self.log_path = os.path.join(self.files, "access.log")
        self.proxy = None

    def start(self, config, **keywords):
        """Starts a proxy; it is stopped and checked at the end of the test."""
        files = tempfile.mkdtemp(prefix="proxy.", dir=self.files)
        proxy = Proxy(config, files=files, **keywords)
        self.proxy = self.proxy or proxy
        self.addCleanup(proxy.stop)
        return proxy

    def names(self, zone=None):
        """A DNS server that knows `zone` (see names.py); other names do not exist."""
        server = DnsServer(zone)
        self.addCleanup(server.stop)
        return server

    def origin(self, answer=None, **keywords):
        origin = HttpOrigin(answer, **keywords)
        self.addCleanup(origin.close)
        return origin

    def raw_origin(self, serve, **keywords):
        origin = RawOrigin(serve, **keywords)
        self.addCleanup(origin.close)
        return origin

    def client(self, where=None, **keywords):
        client = Client(self.proxy.port() if where is None else where, **keywords)
        self.addCleanup(client.close)
        return client

    def ask(self, method, target, host=None, headers=(), body=None):
        """One request to the listener `main` on a connection of its own."""
        with Client(self.proxy.port()) as client:
            return client.ask(method, target, host, headers, body)

    def logs(self, count):
        """The first `count` entries of the JSON access log and what else it has, by their start."""
        entries = [json.loads(line) for line in self.proxy.lines(self.log_path, count)]
        return sorted(entries, key=lambda entry: float(entry["start"]))

    def log(self, index=-1, count=1):
        """An entry of the JSON access log, once it has `count` lines."""
        return self.logs(count)[index]
