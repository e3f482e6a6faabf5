"""What the benchmark reads off a process: CPU, memory, instructions, system calls, allocations."""
import glob
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import time

from test.bench import peers

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def processes(pid):
    """The process and its children, theirs, and so on."""
    found = [pid]
    for parent in found:
        for path in glob.glob("/proc/%d/task/*/children" % parent):
            try:
                with open(path, encoding="ascii") as file:
                    found += [int(child) for child in file.read().split()]
            except OSError:
                pass
    return found


def cpu(pid):
    """(nanoseconds on a CPU, of them in user mode as a share by ticks: user ticks, system ticks) of all threads."""
    total, user, system = 0, 0, 0
    for process in processes(pid):
        for path in glob.glob("/proc/%d/task/*/schedstat" % process):
            with open(path, encoding="ascii") as file:
                total += int(file.read().split()[0])
        with open("/proc/%d/stat" % process, encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        user, system = user + int(fields[11]), system + int(fields[12])
    return total, user, system


def rss(pid):
    """Resident bytes, without what is shared counted twice."""
    total = 0
    for process in processes(pid):
        with open("/proc/%d/smaps_rollup" % process, encoding="ascii") as file:
            total += int(re.search(r"^Pss: +(\d+)", file.read(), re.M).group(1)) * 1024
    return total


class Load:
    """One run of the load generator."""

    def __init__(self, bench, port, head, **options):
        path = os.path.join(bench.folder, "head.%d" % (hash(head) & 0xffffffff))
        with open(path, "w", encoding="ascii", newline="") as file:
            file.write(head)
        command = [bench.tool("load"), "--port", str(port), "--head", path]
        for name, value in options.items():
            command += ["--" + name, str(value)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        preexec_fn=peers.pinned([peers.LOAD_CORE]))

    def result(self):
        output = self.process.communicate()[0]
        if self.process.returncode != 0:
            raise RuntimeError("the load generator failed")
        return json.loads(output)


def load(bench, port, head, **options):
    return Load(bench, port, head, **options).result()


def run_counted(bench, peer, head, **options):
    """One bounded run against a running peer: the generator's result with the peer's CPU."""
    before = cpu(peer.process.pid)
    result = load(bench, peer.port, head, **options)
    # The last response may be out before the work for it ends.
    time.sleep(0.02)
    after = cpu(peer.process.pid)
    done = max(1, result["requests"])
    ticks = max(1, after[1] + after[2] - before[1] - before[2])
    result["cpu_us"] = (after[0] - before[0]) / 1e3 / done
    result["user_share"] = (after[1] - before[1]) / ticks
    if result["errors"] > done // 100:
        raise RuntimeError("%s: %d of %d requests failed" % (peer.name, result["errors"], done + result["errors"]))
    return result


class Callgrind:
    """A Sluice under callgrind, whose instructions can be counted over any stretch of time. A context manager."""

    def __init__(self, bench, peer):
        self.peer = peer
        self.out = peer.path("callgrind.out")
        # Valgrind 3.19 gives up on the DWARF 5 of clang-19: it gets the symbols only.
        plain = peer.path("sluice")
        objcopy = shutil.which("objcopy") or shutil.which("llvm-objcopy-19")
        subprocess.run([objcopy, "--strip-debug", bench.sluice, plain], check=True)
        peer.program_path = plain

    @staticmethod
    def present():
        return bool(shutil.which("valgrind") and (shutil.which("objcopy") or shutil.which("llvm-objcopy-19")))

    def __enter__(self):
        self.peer.start(wrap=("valgrind", "--tool=callgrind", "--callgrind-out-file=" + self.out, "-q"))
        return self

    def __exit__(self, *unused):
        self.peer.stop()

    def _control(self, option):
        subprocess.run(["callgrind_control", option, str(self.peer.process.pid)], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, timeout=30, check=True)

    def zero(self):
        """Counts from here on."""
        self._control("-z")

    def dump(self):
        """(user instructions since zero(), the file that says where)."""
        self._control("-d")
        newest = max(glob.glob(self.out + ".*"), key=os.path.getmtime)
        with open(newest, encoding="utf-8", errors="replace") as file:
            return int(re.findall(r"^(?:totals|summary): (\d+)", file.read(), re.M)[-1]), newest


def instructions(bench, peer, head, requests, warm=2000, keep=None, **options):
    """User instructions per request, exactly, by callgrind; None where it is absent. Starts and stops `peer`."""
    if not Callgrind.present():
        return None
    with Callgrind(bench, peer) as callgrind:
        load(bench, peer.port, head, **{**options, "requests": warm, "seconds": 60})
        callgrind.zero()
        load(bench, peer.port, head, **{**options, "requests": requests, "seconds": 90})
        count, dump = callgrind.dump()
        if keep:
            shutil.copy(dump, keep)
        return count / requests


def trace(bench, peer, head, requests, options):
    """System calls of a running peer while it serves `requests`, by name; None where strace is forbidden."""
    out = peer.path("strace")
    attach = []
    for process in processes(peer.process.pid):
        attach += ["-p", str(process)]
    tracer = subprocess.Popen(["strace", "-c", "-f", "-q", "-o", out] + attach, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    time.sleep(0.3)
    if tracer.poll() is not None:
        return None
    load(bench, peer.port, head, **{**options, "requests": requests})
    time.sleep(0.05)
    tracer.send_signal(signal.SIGINT)
    tracer.wait(10)
    calls = {}
    with open(out, encoding="ascii") as file:
        for line in file:
            fields = line.split()
            if len(fields) in (5, 6) and fields[3].isdigit() and fields[-1] != "total":
                calls[fields[-1]] = int(fields[3])
    return calls


def system_calls(bench, peer, head, requests, **options):
    """System calls per request by name, in the steady state; {} where strace is absent or forbidden."""
    if not shutil.which("strace"):
        return {}
    once = trace(bench, peer, head, requests, options)
    thrice = trace(bench, peer, head, 3 * requests, options)
    if once is None or thrice is None:
        return {}
    # The connections cost the same in both runs and cancel out.
    calls = {name: (thrice.get(name, 0) - once.get(name, 0)) / (2 * requests) for name in thrice}
    return {name: round(count, 3) for name, count in sorted(calls.items(), key=lambda item: -item[1]) if count >= 0.005}


def allocations(bench, peer, head, requests, warm=2000, **options):
    """Allocations per request in the steady state, by a preloaded counter. Starts and stops `peer`."""
    shared = peer.path("mallocs")
    peer.start(extra_env={"LD_PRELOAD": bench.tool("malloc_count.so"), "SLUICE_MALLOC_COUNT": shared})

    def count():
        with open(shared, "rb") as file:
            return struct.unpack("=Q", file.read(8))[0]
    try:
        load(bench, peer.port, head, **{**options, "requests": warm})
        first = count()
        load(bench, peer.port, head, **{**options, "requests": requests})
        middle = count()
        load(bench, peer.port, head, **{**options, "requests": 2 * requests})
        # The connections cost the same in both runs and cancel out.
        return (count() - middle - (middle - first)) / requests
    finally:
        peer.stop()
