"""Rows 40 to 45 and 51 to 55: credentials, TLS, and what the operator gives: files and the admin page."""
import http.client
import os
import random
import re
import subprocess
import time

from test.hostile.exhaustion import own, serves
from test.hostile.mutate import mutations, valid_files
from test.hostile.rows import NotApplicable, row
from test.support import config
from test.support.client import Client
from test.support.proxy import BINARY, SANITIZER, SLOW

PLACE = re.compile(r"^[^:]+:\d+:\d+: ")


def validate(path):
    """(exit code, what it printed, seconds, KiB of memory at most) for one file."""
    with open(path + ".out", "wb") as out:
        began = time.monotonic()
        process = subprocess.Popen([BINARY, "--mode", "validate", "-c", path], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    with open(path + ".out", "rb") as file:
        return process.returncode, file.read().decode(errors="replace"), time.monotonic() - began, usage.ru_maxrss


def judge(run, label, path):
    """One file: good, or refused with a place; never a crash, a second of CPU or 200 MB."""
    code, text, seconds, kilobytes = validate(path)
    place = any(PLACE.match(line) for line in text.splitlines())
    good = code == 0 or (code == 1 and (place or "larger than" in text))
    run.check(good, "%s: exit code %d, %r" % (label, code, text[-300:]))
    run.check(seconds < 5 * SLOW, "%s: %.1f s" % (label, seconds))
    run.check(SANITIZER or kilobytes < 200 * 1024, "%s: %d KiB" % (label, kilobytes))
    return code


@row(51, "mutations of configuration files")
def mutated_files(run):
    if run.target.address is not None:
        raise NotApplicable("needs the binary")
    seed = int(os.environ.get("SLUICE_SEED", "0")) or random.randrange(1 << 32)
    count = int(os.environ.get("SLUICE_MUTATIONS", "150"))
    rng = random.Random(seed)
    files = valid_files()
    path = run.target.path("mutated.yaml")
    codes = []
    for number, (label, data) in enumerate(mutations(files, rng, count)):
        with open(path, "wb") as file:
            file.write(data)
        problems = len(run.problems)
        codes.append(judge(run, "SLUICE_SEED=%d, number %d (%s)" % (seed, number, label), path))
        if len(run.problems) > problems:
            # For whoever looks into it.
            os.replace(path, "/tmp/sluice.mutation.%d.%d.yaml" % (seed, number))
    run.check(0 in codes and 1 in codes, "the mutations are all alike: %s" % set(codes))


@row(55, "hostile admin clients")
def admin_clients(run):
    proxy, _ = own(run)
    port = proxy.admin_port

    def ask(method, path, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10 * SLOW)
        try:
            connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            response.read()
            return response.status
        finally:
            connection.close()
    for path in ("/quitquitquit", "/healthcheck/fail", "/healthcheck/ok", "/drain_listeners", "/reset_counters", "/logging?level=trace", "/reopen_logs"):
        status = ask("GET", path)
        run.check(status == 405, "GET %s: %d" % (path, status))
    run.check(proxy.running() and proxy.admin("/ready").status == 200, "a GET has changed something")
    for path in ("/%2e%2e/%2e%2e/etc/passwd", "/../../etc/passwd", "//", "/stats?filter=(((((", "/stats?filter=" + "a*" * 5000, "/nothing"):
        status = ask("GET", path)
        run.check(status in (200, 400, 404), "GET %s: %d" % (path[:40], status))
    # A reader of the largest page that does not read keeps nobody else waiting.
    with Client(port, 5 * SLOW) as slow:
        for _ in range(50):
            slow.send(b"GET /config_dump HTTP/1.1\r\nHost: a\r\n\r\n")
        run.check(all(ask("GET", "/ready") == 200 for _ in range(20)), "a slow reader stops the others")
    with Client(port, 5 * SLOW) as client:
        client.send(b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = client.line()
        run.check(answer.startswith((b"HTTP/1.1 431", b"HTTP/1.1 414", b"HTTP/1.1 400")), "a path of 1 MB: %r" % answer)
    run.check(serves(proxy), "an honest client is not served")
    # Without an admin in the file there is none; a port that it is to be on is loopback's if the file says so and nothing else is opened.
    listening = [line.split()[3] for line in open("/proc/%d/net/tcp" % proxy.pid, encoding="ascii") if line.split()[1].endswith(":%04X" % port)]
    run.check(listening and all(line.split()[1].startswith("0100007F") for line in open("/proc/%d/net/tcp" % proxy.pid, encoding="ascii")
                                if line.split()[1].endswith(":%04X" % port)), "the admin listens elsewhere")


def _later(number, title, why):
    @row(number, title)
    def not_yet(_):
        raise NotApplicable(why)
    return not_yet


for _number, _title in ((41, "garbage for a TLS listener"), (42, "TLS handshakes that stall"), (43, "wrong certificates of origins"),
                        (44, "certificates that change"), (45, "wrong certificates of clients")):
    _later(_number, _title, "there is no TLS yet")
_later(52, "bad updates from a control plane", "there is no xDS yet")
_later(53, "reloads under load", "the configuration is not reloaded yet")
_later(54, "reload of a broken file", "the configuration is not reloaded yet")
