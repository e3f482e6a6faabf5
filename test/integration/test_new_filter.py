"""tools/new-filter in a copy of what it changes: what it writes, and what it refuses before it writes anything."""
import os
import shutil
import subprocess
import tempfile
import unittest

from test.support.proxy import ROOT


class NewFilter(unittest.TestCase):
    """Nothing is built here: what the script writes is text."""

    def setUp(self):
        self.tree = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.tree)
        for path in ("tools/new-filter", "extensions/builtin.cc", "extensions/BUILD.bazel", ".clang-format"):
            os.makedirs(os.path.dirname(os.path.join(self.tree, path)), exist_ok=True)
            shutil.copy(os.path.join(ROOT, path), os.path.join(self.tree, path))

    def run_for(self, name, **environment):
        return subprocess.run(["/usr/bin/python3", os.path.join(self.tree, "tools", "new-filter"), name],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
                              env={**os.environ, **environment})

    def read(self, path):
        with open(os.path.join(self.tree, path), encoding="utf-8") as file:
            return file.read()

    def files(self):
        """All files with their texts."""
        found = {}
        for folder, _, names in os.walk(self.tree):
            for name in names:
                path = os.path.relpath(os.path.join(folder, name), self.tree)
                found[path] = self.read(path)
        return found

    def test_writes_and_registers(self):
        before = set(self.files())
        done = self.run_for("shout_loud")
        self.assertEqual(0, done.returncode, done.stderr)
        folder = "extensions/filters/http/shout_loud/"
        self.assertEqual({folder + name for name in ("filter.h", "filter.cc", "filter_test.cc", "README.md", "BUILD.bazel")}
                         | {"api/sluice/filters/http/shout_loud/v1/shout_loud.proto"}, set(self.files()) - before)
        builtin = self.read("extensions/builtin.cc")
        self.assertEqual(1, builtin.count("  RegisterShoutLoud(registry);\n"))
        includes = [line for line in builtin.split("\n") if line.startswith('#include "extensions/filters/http/')]
        self.assertIn('#include "extensions/filters/http/shout_loud/filter.h"', includes)
        self.assertEqual(sorted(includes), includes)
        self.assertEqual(1, self.read("extensions/BUILD.bazel").count('"//extensions/filters/http/shout_loud",'))
        for path in ("filter.h", "filter.cc", "filter_test.cc"):
            checked = subprocess.run(["clang-format-19", "--dry-run", "--Werror", os.path.join(self.tree, folder, path)],
                                     stderr=subprocess.PIPE, text=True, timeout=60, check=False)
            self.assertEqual(0, checked.returncode, checked.stderr)
        for text in ("NAME", "CLASS", "DASHED"):
            self.assertNotIn(text, "".join(self.files()[folder + path] for path in ("filter.h", "filter.cc")))
        for owed in ("test/cases/filters/shout_loud.yaml", "CHANGELOG.md", "RegisterShoutLoud"):
            self.assertIn(owed, done.stdout)
        again = self.run_for("shout_loud")
        self.assertEqual(1, again.returncode)
        self.assertIn("is there already", again.stderr)

    def test_refuses_before_it_writes(self):
        before = self.files()
        for name, code, words in (("new", 1, "meaning of its own"), ("co_await", 1, "meaning of its own"),
                                  ("tcp_proxy", 1, "RegisterTcpProxy"), ("router", 1, "RegisterRouter"),
                                  ("dns_caches", 1, "RegisterDnsCaches"), ("Shout", 2, ""), ("shout-loud", 2, ""),
                                  ("1shout", 2, ""), ("shout_", 2, "")):
            with self.subTest(name):
                done = self.run_for(name)
                self.assertEqual(code, done.returncode, done.stderr)
                self.assertIn(words, done.stderr)
                self.assertEqual(before, self.files())

    def test_without_formatter_nothing_is_written(self):
        before = self.files()
        done = self.run_for("shout", PATH=os.path.join(self.tree, "tools"))
        self.assertEqual(1, done.returncode, done.stderr)
        self.assertIn("tools/setup", done.stderr)
        self.assertEqual(before, self.files())


if __name__ == "__main__":
    unittest.main()
