"""Prints and writes the results of the benchmark."""
import datetime
import json
import os
import platform
import re
import subprocess

from test.bench import works


def machine():
    model = "unknown"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        found = re.search(r"^model name\s*: (.*)$", file.read(), re.M)
        model = found.group(1) if found else model
    versions = {}
    for name, command, pattern in (("nginx", ["/usr/sbin/nginx", "-v"], r"nginx/(\S+)"),
                                   ("haproxy", ["/usr/sbin/haproxy", "-v"], r"version (\S+)"),
                                   ("squid", ["/usr/sbin/squid", "-v"], r"Version (\S+)"),
                                   ("envoy", [os.environ.get("ENVOY_BINARY", ""), "--version"], r"version: (\S+)")):
        try:
            text = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20, check=False).stdout
            found = re.search(pattern, text.decode(errors="replace"))
            versions[name] = found.group(1) if found else "?"
        except OSError:
            pass
    return {"cpu": model, "cores": os.cpu_count(), "kernel": platform.release(), "versions": versions,
            "date": datetime.date.today().isoformat(), "load_average": os.getloadavg()[0]}


def show(value):
    if value is None:
        return "-"
    if isinstance(value, float):
        return "%.0f" % value if value >= 1000 else "%.2f" % value
    return str(value)


def table(work):
    """The rows of a work as lists of texts, the names of the columns first."""
    columns = []
    for row in work["rows"].values():
        columns += [name for name in row if name not in columns and name != "calls"]
    ratios = work.get("ratios", {})
    lines = [[""] + columns + (["sluice / it"] if ratios else [])]
    for name, row in work["rows"].items():
        line = [name] + [show(row.get(column)) for column in columns]
        lines.append(line + ([show(ratios.get(name))] if ratios else []))
    return lines


def work_text(name, work):
    """One work for the terminal."""
    text = "%s: %s\n" % (name, works.ALL[name].__doc__.split("\n")[0])
    if "error" in work:
        return text + "  FAILED: " + work["error"]
    lines = table(work)
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        text += "  " + "  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                                 for i, (cell, width) in enumerate(zip(line, widths))) + "\n"
    calls = work["rows"].get("sluice", {}).get("calls")
    if calls:
        text += "  sluice's system calls: %s\n" % ", ".join("%s %.2f" % item for item in calls.items())
    for key in ("left_out", "note"):
        if work.get(key):
            text += "  %s: %s\n" % (key.replace("_", " "), work[key])
    return text.rstrip("\n")


METHOD = """# Results of the benchmark

Written by `tools/dev bench`; do not edit. The works and how each contender is configured stand in `works.py` and `peers.py`.

Method: one worker each; the proxy alone on core 0, generator and upstream on core 1, loopback only. In every round each
contender does the same work in turn; figures are medians of the rounds, ratios are medians of the ratios within a
round. `cpu_us`: CPU time per request of all threads (user and system, from /proc/PID/task/*/schedstat); `user_us`: its part in
user mode, by ticks; `cpu_s_per_gb`: CPU seconds per GB of body; `syscalls`: per request, by strace; `mallocs`: allocations per
request, by a preloaded counter, the cost of connections taken out; `instructions`: user instructions per request, by callgrind.
Percentiles are from when a request was due (open loop). Memory is the proportional set size. Instructions and mallocs are exact,
system calls nearly so (a read that finds nothing depends on who is faster); times depend on the machine and on what else it does: a difference below 5 % is none.
"""


def write(folder, results):
    """results.json and RESULTS.md."""
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "results.json"), "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1, sort_keys=True)
        file.write("\n")
    facts = results["machine"]
    text = METHOD + "\nMachine: %s, %d cores, Linux %s; %s. %s, %d rounds%s; load average at the start %.1f.\n" % (
        facts["cpu"], facts["cores"], facts["kernel"],
        ", ".join("%s %s" % item for item in facts["versions"].items()), facts["date"], results["rounds"],
        " (quick)" if results["quick"] else "", facts["load_average"])
    for name, work in results["works"].items():
        text += "\n## %s\n%s\n\n" % (name, works.ALL[name].__doc__.split("\n")[0])
        if "error" in work:
            text += "Failed: %s\n" % work["error"]
            continue
        lines = table(work)
        text += "| %s |\n|%s\n" % (" | ".join(lines[0]), "---|" * len(lines[0]))
        text += "".join("| %s |\n" % " | ".join(line) for line in lines[1:])
        if "calls" in work["rows"].get("sluice", {}):
            text += "\nSluice's system calls: %s.\n" % ", ".join("%s %.2f" % item for item in work["rows"]["sluice"]["calls"].items())
        for key in ("left_out", "note"):
            if work.get(key):
                text += "\n%s: %s\n" % (key.replace("_", " ").capitalize(), work[key])
    with open(os.path.join(folder, "RESULTS.md"), "w", encoding="utf-8") as file:
        file.write(text)
