#!/usr/bin/python3
"""Builds and runs every test; the last line counts them: `N passed, N failed`. tools/test calls it.

  tools/test                  everything
  tools/test --unit [TARGET]  Bazel's tests only (default //...)
  tools/test --integration [FILE|FILE::Class.test]  the tests that start the proxy, only
  --config asan|tsan          the same under a sanitizer

The counts come from the results: the test cases in Bazel's test.xml files and the outcomes that
the integration runner reports. A target that does not build or that dies counts as one failure.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.parse
import xml.etree.ElementTree as ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
BAZEL = os.path.join(ROOT, "tools", "bazelw")


class Tally:
    """Outcomes so far; failures keep their names for the summary."""

    def __init__(self):
        self.passed = 0
        self.skipped = 0
        self.failures = []

    def add(self, name, ok):
        if ok:
            self.passed += 1
        else:
            self.failures.append(name)


def count_xml(label, path, status, tally):
    """Counts the test cases of one test.xml."""
    cases = {}
    try:
        for case in ElementTree.parse(path).getroot().iter("testcase"):
            name = "%s: %s" % (case.get("classname", ""), case.get("name", ""))
            bad = case.find("failure") is not None or case.find("error") is not None
            cases[name] = cases.get(name, False) or bad
    except (OSError, ElementTree.ParseError):
        cases = {}
    for name, bad in cases.items():
        tally.add("%s %s" % (label, name), not bad)
    if status != "PASSED" and not any(cases.values()):
        tally.add("%s (%s)" % (label, status), False)
    elif not cases:
        # A test without cases of its own (a script) is one test.
        tally.add(label, status == "PASSED")


def run_bazel(targets, config, tally):
    """Builds and tests the targets; every failure also stands in Bazel's own output."""
    with tempfile.TemporaryDirectory(prefix="sluice_test.") as directory:
        events_path = os.path.join(directory, "events.json")
        command = [BAZEL, "test", "--keep_going", "--build_event_json_file=" + events_path]
        if config:
            command.append("--config=" + config)
        code = subprocess.run(command + ["--"] + targets, cwd=ROOT, check=False).returncode
        seen = 0
        if os.path.exists(events_path):
            with open(events_path, encoding="utf-8") as events:
                for line in events:
                    seen += count_event(json.loads(line), tally)
    # 0: all passed. 3: some tests failed. 4: there were no tests. Else the build failed.
    if code not in (0, 3, 4) and not tally.failures:
        tally.add("bazel test %s (exit code %d)" % (" ".join(targets), code), False)
    if seen == 0:
        tally.add("bazel test %s ran no test" % " ".join(targets), False)


def count_event(event, tally):
    """Counts one event of Bazel's build event stream. Returns 1 for the result of a test."""
    identity = event.get("id", {})
    if "testResult" in identity and "testResult" in event:
        result = event["testResult"]
        path = ""
        for output in result.get("testActionOutput", []):
            if output.get("name") == "test.xml":
                path = urllib.parse.unquote(urllib.parse.urlparse(output["uri"]).path)
        count_xml(identity["testResult"]["label"], path, result.get("status", "NO_STATUS"), tally)
        return 1
    if "targetCompleted" in identity and "aborted" not in event:
        if not event.get("completed", {}).get("success", False):
            tally.add(identity["targetCompleted"]["label"] + " (does not build)", False)
    return 0


def run_command(name, command, tally):
    """One script that is one test."""
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    tally.add(name, code == 0)


def run_integration(names, binary, arguments, tally):
    """The tests that start the proxy."""
    if not os.access(binary, os.X_OK):
        tally.add("%s was not built" % os.path.relpath(binary, ROOT), False)
        return
    with tempfile.TemporaryDirectory(prefix="sluice_test.") as directory:
        report = os.path.join(directory, "report.json")
        runner = os.path.join(ROOT, "test", "support", "runner.py")
        environment = dict(os.environ, SLUICE_BINARY=binary, SLUICE_SANITIZER=arguments.config or "")
        subprocess.run([sys.executable, runner, "--jobs", str(arguments.jobs), "--report", report] + names,
                       cwd=ROOT, env=environment, check=False)
        try:
            with open(report, encoding="utf-8") as file:
                outcomes = json.load(file)
        except (OSError, ValueError):
            outcomes = {}
    if not outcomes:
        tally.add("the integration tests did not run", False)
    for name, outcome in outcomes.items():
        if outcome == "skipped":
            tally.skipped += 1
        else:
            tally.add(name, outcome == "passed")


def main():
    parser = argparse.ArgumentParser(prog="tools/test", description="Runs the tests.")
    parser.add_argument("--unit", action="store_true", help="Bazel's tests only")
    parser.add_argument("--integration", action="store_true", help="tests that start the proxy only")
    parser.add_argument("--config", choices=["asan", "tsan"], help="under a sanitizer")
    parser.add_argument("--jobs", type=int, default=3, help="integration files at a time")
    parser.add_argument("names", nargs="*", help="Bazel targets or integration tests")
    arguments = parser.parse_args()
    both = arguments.unit == arguments.integration
    start = time.monotonic()
    tally = Tally()

    config = ["--config=" + arguments.config] if arguments.config else []
    if both or arguments.unit:
        run_bazel(arguments.names or ["//..."], arguments.config, tally)
        if not arguments.names and not arguments.config:
            run_command("tools/check_layers", [os.path.join(ROOT, "tools", "check_layers")], tally)
    if both or arguments.integration:
        subprocess.run([BAZEL, "build"] + config + ["//source/main:sluice"], cwd=ROOT, check=False)
        where = subprocess.run([BAZEL, "info"] + config + ["bazel-bin"], cwd=ROOT, check=False,
                               stdout=subprocess.PIPE, text=True).stdout.strip()
        run_integration(arguments.names if arguments.integration else [],
                        os.path.join(where, "source/main/sluice"), arguments, tally)

    sys.stderr.flush()
    if tally.failures:
        print("\nFailed:")
        for name in tally.failures:
            print("  " + name)
    skipped = ", %d skipped" % tally.skipped if tally.skipped else ""
    print("\nThat took %d s%s." % (time.monotonic() - start, skipped))
    print("%d passed, %d failed" % (tally.passed, len(tally.failures)))
    return 1 if tally.failures or tally.passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
