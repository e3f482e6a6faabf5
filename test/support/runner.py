#!/usr/bin/python3
"""Runs the integration tests, several files at a time, and reports every outcome.

  runner.py [--jobs N] [--report FILE] [FILE or FILE::Class or FILE::Class.test]...

A file is a name in test/integration with or without `test_` and `.py`.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
FOLDER = os.path.join(ROOT, "test", "integration")
LONG_FILES = ("test_custom_filter.py", "test_transfer.py")
FILE_SECONDS = int(os.environ.get("SLUICE_TEST_FILE_SECONDS", "1800"))


class Result(unittest.TextTestResult):
    """Keeps the outcome and time of every test."""

    def __init__(self, *arguments, **keywords):
        super().__init__(*arguments, **keywords)
        self.outcomes = {}
        self.began = 0.0

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()
        # A test that takes the process down with it has failed.
        self.outcomes[test.id()] = "failed"
        self.save()

    def stopTest(self, test):
        failed = {failure[0].id().split(" ")[0] for failure in self.failures + self.errors}
        failed |= {failure[0].test_case.id() for failure in self.failures + self.errors
                   if hasattr(failure[0], "test_case")}
        skipped = {skip[0].id() for skip in self.skipped}
        outcome = "failed" if test.id() in failed else "skipped" if test.id() in skipped else "passed"
        self.outcomes[test.id()] = outcome
        print("%s %s (%.2f s)" % (outcome, test.id(), time.monotonic() - self.began), flush=True)
        self.save()
        super().stopTest(test)

    def save(self):
        with open(os.environ["SLUICE_TEST_REPORT"], "w", encoding="utf-8") as file:
            json.dump(self.outcomes, file)


def run_here(name):
    """Runs one file or a part of it in this process."""
    module, _, part = name.partition("::")
    module = "test.integration." + module
    suite = unittest.defaultTestLoader.loadTestsFromName(module + ("." + part if part else ""))
    runner = unittest.TextTestRunner(stream=sys.stdout, resultclass=Result, verbosity=0)
    result = runner.run(suite)
    # Errors outside of tests (a module that does not load) are failures, too.
    for failure in result.errors:
        result.outcomes.setdefault(failure[0].id(), "failed")
    result.save()
    return 0 if result.wasSuccessful() else 1


def run_file(name, directory):
    """Runs one file in a process of its own. Returns (name, outcomes, output, seconds)."""
    report = os.path.join(directory, name.replace(":", "_") + ".json")
    environment = dict(os.environ, SLUICE_TEST_REPORT=report, PYTHONDONTWRITEBYTECODE="1")
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, os.path.realpath(__file__), "--here", name],
                               cwd=ROOT, env=environment, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
    try:
        output = process.communicate(timeout=FILE_SECONDS)[0].decode(errors="replace")
    except subprocess.TimeoutExpired:
        process.kill()
        output = process.communicate()[0].decode(errors="replace") + "\ntimed out\n"
    try:
        with open(report, encoding="utf-8") as file:
            outcomes = json.load(file)
    except (OSError, ValueError):
        outcomes = {}
    if process.returncode != 0 and "failed" not in outcomes.values():
        outcomes["test.integration.%s (exit code %d)" % (name, process.returncode)] = "failed"
    return name, outcomes, output, time.monotonic() - began


def module_name(name):
    """`curl`, `test_curl.py` and `test/integration/test_curl.py::Curl` all name a file."""
    file, separator, part = name.partition("::")
    file = os.path.basename(file)
    file = file[:-3] if file.endswith(".py") else file
    return ("" if file.startswith("test_") else "test_") + file + separator + part


def main():
    sys.path.insert(0, ROOT)
    parser = argparse.ArgumentParser(description="Runs the integration tests.")
    parser.add_argument("--jobs", type=int, default=3)
    parser.add_argument("--report", help="write the outcomes to this file as JSON")
    parser.add_argument("--here", help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    if arguments.here:
        return run_here(arguments.here)
    names = [module_name(name) for name in arguments.names]
    if not names:
        # Long files first, so that none is left to run alone at the end.
        files = [file for file in os.listdir(FOLDER) if file.startswith("test_") and file.endswith(".py")]
        files.sort(key=lambda file: (file not in LONG_FILES, -os.path.getsize(os.path.join(FOLDER, file))))
        names = [file[:-3] for file in files]
    outcomes = {}
    with tempfile.TemporaryDirectory(prefix="sluice_report.") as directory, \
         ThreadPoolExecutor(arguments.jobs) as pool:
        for name, results, output, seconds in pool.map(lambda name: run_file(name, directory), names):
            bad = "failed" in results.values()
            print("%s test/integration/%s: %d tests, %.1f s" %
                  ("FAILED" if bad else "passed", name, len(results), seconds))
            if bad or len(names) == 1:
                print(output)
            sys.stdout.flush()
            outcomes.update(results)
    if arguments.report:
        with open(arguments.report, "w", encoding="utf-8") as file:
            json.dump(outcomes, file)
    failed = [name for name, outcome in outcomes.items() if outcome == "failed"]
    print("integration: %d passed, %d failed, %d skipped" % (
        list(outcomes.values()).count("passed"), len(failed), list(outcomes.values()).count("skipped")))
    return 1 if failed or not outcomes else 0


if __name__ == "__main__":
    sys.exit(main())
