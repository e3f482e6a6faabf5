"""examples/custom_filter: a workspace of its own that embeds Sluice builds, and its filter works.

Its objects are other files to Bazel than those of Sluice's own build, so the first build takes minutes; after
that the disk cache, which all our builds share, has them: later builds take seconds.
"""
import glob
import os
import subprocess
import unittest

import yaml

from test.support.client import Client
from test.support.proxy import ROOT, SANITIZER, ProxyTest
from test.support import proxy as proxy_module

FOLDER = os.path.join(ROOT, "examples", "custom_filter")
# An optimiser would take most of the time and change nothing that is tested here.
FLAGS = ["--compilation_mode=fastbuild", "--copt=-O0", "--symlink_prefix=/"]


def bazel(command, *arguments):
    """Runs Bazel in the example, as tools/bazelw does in Sluice, and returns what it prints."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    caches = sorted(glob.glob(os.path.join(cache, "sluice", "bazel-*")), key=os.path.getmtime)
    disk = ["--disk_cache=" + caches[-1]] if caches and command == "build" else []
    done = subprocess.run(["bazel", "--max_idle_secs=15", command, *disk, *FLAGS, *arguments], cwd=FOLDER,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=900, check=False)
    if done.returncode != 0:
        raise AssertionError("bazel %s failed:\n%s" % (command, done.stderr[-4000:]))
    return done.stdout.strip()


@unittest.skipIf(SANITIZER, "one build of the example is enough")
class CustomFilter(ProxyTest):
    """The example's own binary on the example's own configuration."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        bazel("build", "//:custom_proxy")
        cls.binary = os.path.join(bazel("info", "bazel-bin"), "custom_proxy")

    def setUp(self):
        super().setUp()
        before = proxy_module.BINARY
        proxy_module.BINARY = self.binary
        self.addCleanup(setattr, proxy_module, "BINARY", before)

    def validate(self, text):
        return subprocess.run([self.binary, "--mode", "validate", "--config-yaml", text], timeout=60, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def read(self):
        with open(os.path.join(FOLDER, "custom.yaml"), encoding="utf-8") as file:
            return file.read()

    def test_filter_shouts(self):
        content = yaml.safe_load(self.read())
        content["admin"]["address"]["socket_address"]["port_value"] = 0
        content["static_resources"]["listeners"][0]["address"]["socket_address"]["port_value"] = 0
        self.start(content)
        with Client(self.proxy.port("loud")) as client:
            answer = client.ask("GET", "/", "h")
        self.assertEqual((200, b">> HELLO\n"), (answer.status, answer.body))

    def test_configuration_is_checked(self):
        good = self.validate(self.read())
        self.assertEqual(0, good.returncode, good.stdout)
        bad = self.validate(self.read().replace("prefix: \">> \"", "prefax: \">> \""))
        self.assertEqual(1, bad.returncode, bad.stdout)
        self.assertIn("prefax", bad.stdout)
        self.assertIn("prefix", bad.stdout)
        self.assertIn("shout", self.validate(self.read().replace("shout.v1.Shout", "shout.v1.Whisper")).stdout)


if __name__ == "__main__":
    unittest.main()
