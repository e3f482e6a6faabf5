#!/usr/bin/python3
"""Runs the hostile rows and prints a table, one line a row.

  run.py [--address HOST:PORT] [--origin-host HOST] [ROW]...

Without an address it starts the proxy of this checkout (tools/dev build). With one it tests that proxy, a plain forward proxy: rows that
need a configuration of their own are left out, and most of the others need it to dial this machine, which is --origin-host to it. An
egress guard that denies that is a good sign; open it for the time of the test. Exit code 1: a row falls short.
"""
import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))))

from test.hostile import control, egress, exhaustion, framing, process, upstream  # noqa: E402,F401  (they register their rows)
from test.hostile.rows import ROWS, Target, run  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description="Runs the hostile rows.")
    parser.add_argument("--address", help="HOST:PORT of a forward proxy")
    parser.add_argument("--origin-host", default="127.0.0.1", help="this machine, as the proxy knows it")
    parser.add_argument("rows", nargs="*", type=int)
    arguments = parser.parse_args()
    if arguments.address and not arguments.address.rpartition(":")[2].isdigit():
        parser.error("an address is HOST:PORT")
    os.environ.setdefault("SLUICE_FULL", "1")
    counts = {}
    for number in arguments.rows or sorted(ROWS):
        if number not in ROWS:
            parser.error("there is no row %d" % number)
        try:
            with Target(arguments.address, arguments.origin_host) as target:
                state, text = run(number, target)
        except AssertionError as error:
            # The proxy did not end as it should, or is still busy with what has gone.
            state, text = "falls short", str(error)
        counts[state] = counts.get(state, 0) + 1
        print("%2d  %-40s  %-14s  %s" % (number, ROWS[number][0], state, text.replace("; ", "\n" + " " * 60)), flush=True)
    print(", ".join("%d %s" % (count, state) for state, count in sorted(counts.items())))
    return 1 if counts.get("falls short") else 0


if __name__ == "__main__":
    sys.exit(main())
