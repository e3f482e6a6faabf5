"""The works of the benchmark. Each is a function of the bench that returns rows (contender -> figures) and ratios."""
import os
import resource
import statistics
import time

from test.bench import measure, peers

HEADERS = ("user-agent: bench/1.0\r\naccept: */*\r\naccept-encoding: identity\r\naccept-language: en\r\n"
           "x-request-token: 0123456789abcdef0123456789abcdef\r\nx-tenant: blue\r\ncache-control: no-cache\r\n")
GET = "GET /%d HTTP/1.1\r\nhost: origin.bench.test\r\n" + HEADERS + "\r\n"
SMALL = GET % 128
CHURN = SMALL.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n")
CONNECT = "CONNECT origin.bench.test:80 HTTP/1.1\r\nhost: origin.bench.test:80\r\n\r\n"
PLAIN = "GET /%d HTTP/1.1\r\nhost: o\r\n\r\n"


def ratios_of(rows, key):
    """Medians of sluice's ratio to every other contender within the same round."""
    ours = [run[key] for run in rows["sluice"]]
    return {name: round(statistics.median(a / b[key] for a, b in zip(ours, runs)), 3)
            for name, runs in rows.items() if name != "sluice"}


def summarise(rows, key, extra=()):
    """Rows of medians, and the ratios of `key`."""
    table = {name: {field: round(statistics.median(run[field] for run in runs), 3) for field in (key, *extra)}
             for name, runs in rows.items()}
    return {"rows": table, "ratio_of": key, "ratios": ratios_of(rows, key)}


def preface_file(bench):
    path = os.path.join(bench.folder, "preface")
    with open(path, "w", encoding="ascii", newline="") as file:
        file.write(CONNECT)
    return path


def interleave(bench, mode, head, requests, names=None, prepare=None, rounds=None, **options):
    """Starts all contenders, warms them up, then gives each the same work in turn, round by round."""
    running, rows = [], {}
    try:
        for kind in bench.contenders(mode, names):
            running.append(kind(bench, mode).start())
        for peer in running:
            extra = prepare(peer) if prepare else {}
            peer.load_options = {**options, **extra}
            measure.load(bench, peer.port, head, **{**peer.load_options, "requests": max(200, requests // 10)})
        for done in range(rounds or bench.rounds):
            if done and bench.is_late():
                break
            for peer in running:
                rows.setdefault(peer.name, []).append(
                    measure.run_counted(bench, peer, head, **{**peer.load_options, "requests": requests}))
    finally:
        for peer in running:
            peer.stop()
    for runs in rows.values():
        for run in runs:
            run["user_us"] = run["cpu_us"] * run["user_share"]
            run["rate"] = run["requests"] / run["seconds"]
            run["cpu_s_per_gb"] = run["cpu_us"] * run["requests"] / 1e6 / max(1e-9, run["bytes"] / 1e9)
    return rows


def counts(bench, result, mode, head, names=None, **options):
    """Adds system calls and allocations per request of all contenders, and our instructions, to a work's rows."""
    requests = bench.scale(2000)
    for kind in bench.contenders(mode, names):
        row = result["rows"][kind.name]
        with kind(bench, mode) as peer:
            measure.load(bench, peer.port, head, **{**options, "requests": 1000})
            calls = measure.system_calls(bench, peer, head, requests, **options)
            row["syscalls"] = round(sum(calls.values()), 2)
            row["calls"] = calls
        if kind.name in ("sluice", "nginx", "haproxy"):
            row["mallocs"] = round(measure.allocations(bench, kind(bench, mode), head, requests, **options), 2)
    keep = os.path.join(bench.keep_profiles, "callgrind." + mode) if bench.keep_profiles else None
    ours = measure.instructions(bench, peers.Sluice(bench, mode), head, bench.scale(3000), keep=keep, **options)
    if ours is not None:
        result["rows"]["sluice"]["instructions"] = round(ours)
    return result


def get(bench):
    """Small GET, keep-alive, 64 connections, 8 headers: the default chain."""
    rows = interleave(bench, "get", SMALL, bench.scale(30000))
    return counts(bench, summarise(rows, "cpu_us", ("user_us", "rate")), "get", SMALL)


def features(bench):
    """The same with access log, rate limit, header mutation and an address rule."""
    rows = interleave(bench, "features", SMALL, bench.scale(20000))
    result = counts(bench, summarise(rows, "cpu_us", ("user_us", "rate")), "features", SMALL)
    result["left_out"] = sorted(peers.Sluice.known.get("features", set()) - {"egress_guard"})
    return result


def bodies(bench, size, upload):
    count = bench.scale(max(400, 200_000_000 // size))
    head = GET % (0 if upload else size)
    options = {"connections": 16, "body": size if upload else 0}
    if upload:
        head = head.replace("GET", "POST").replace("\r\n\r\n", "\r\ncontent-length: %d\r\n\r\n" % size)
    rows = interleave(bench, "get", head, count, rounds=min(3, bench.rounds), **options)
    return summarise(rows, "cpu_s_per_gb", ("cpu_us",))


def down64k(bench):
    """Responses of 64 KiB."""
    return bodies(bench, 65536, False)


def down1m(bench):
    """Responses of 1 MiB."""
    return bodies(bench, 1 << 20, False)


def up64k(bench):
    """Requests of 64 KiB."""
    return bodies(bench, 65536, True)


def up1m(bench):
    """Requests of 1 MiB."""
    return bodies(bench, 1 << 20, True)


def tunnel(bench, size, count, connections):
    def prepare(peer):
        return {"preface": preface_file(bench)} if peer.name in ("sluice", "envoy") else {}
    key = "cpu_s_per_gb" if size > 100000 else "cpu_us"
    rows = interleave(bench, "tunnel", PLAIN % size, count, prepare=prepare, connections=connections,
                      rounds=min(3, bench.rounds))
    return summarise(rows, key, ("rate",))


def tunnel_bulk(bench):
    """A tunnel that carries 4 MiB at a time (HAProxy: mode tcp, by copy and by splice)."""
    return tunnel(bench, 4 << 20, bench.scale(400), 8)


def tunnel_small(bench):
    """A tunnel that carries messages of 128 bytes."""
    return tunnel(bench, 128, bench.scale(40000), 64)


def forward(bench, names, chain=True):
    head = ("GET http://n{n}.bench.test:%d/128 HTTP/1.1\r\nhost: n{n}.bench.test:%d\r\n" %
            (bench.origin_port, bench.origin_port)) + HEADERS + "\r\n"
    requests = max(names, bench.scale(10000))

    def prepare(peer):
        # Every name once, slowly enough for the name server: what is measured is the steady state.
        measure.load(bench, peer.port, head, names=names, requests=names, connections=min(names, 16), seconds=60)
        return {"names": names}
    return head, interleave(bench, "forward", head, requests, prepare=prepare, rounds=min(3, bench.rounds))


def forward_one(bench):
    """Forward proxy, absolute form, one host name."""
    head, rows = forward(bench, 1)
    return counts(bench, summarise(rows, "cpu_us", ("user_us", "rate")), "forward", head, names=("sluice", "squid"))


def forward_many(bench):
    """Forward proxy over 10,000 host names (--quick: 1,000)."""
    return summarise(forward(bench, 1000 if bench.quick else 10000)[1], "cpu_us", ("user_us", "rate"))


def churn(bench):
    """A new connection for each request."""
    rows = interleave(bench, "get", CHURN, bench.scale(4000), rounds=min(3, bench.rounds), churn=1, connections=16)
    return summarise(rows, "cpu_us", ("user_us", "rate"))


def latency(bench):
    """Open loop at half of the own maximum rate: percentiles in microseconds."""
    running, rows = [], {}
    try:
        for kind in bench.contenders("get"):
            peer = kind(bench, "get").start()
            running.append(peer)
            top = sorted(measure.load(bench, peer.port, SMALL, requests=bench.scale(20000))["seconds"] for _ in range(3))[1]
            peer.half = int(bench.scale(20000) / top / 2)
        for _ in range(min(3, bench.rounds)):
            for peer in running:
                result = measure.load(bench, peer.port, SMALL, requests=peer.half * (1 if bench.quick else 2),
                                      rate=peer.half, connections=128)
                rows.setdefault(peer.name, []).append({**result, "rate": peer.half})
    finally:
        for peer in running:
            peer.stop()
    return summarise(rows, "p99_us", ("p50_us", "p90_us", "p999_us", "rate"))


def idle(bench, count):
    rows = {}
    for kind in bench.contenders("get"):
        with kind(bench, "get") as peer:
            measure.load(bench, peer.port, SMALL, requests=2000)
            time.sleep(0.3)
            before = measure.rss(peer.process.pid)
            load = measure.Load(bench, peer.port, SMALL, idle=1, connections=count, requests=count, seconds=60)
            words = load.process.stdout.readline().split()
            time.sleep(0.5)
            held = measure.rss(peer.process.pid) - before
            load.process.stdin.close()
            load.process.wait()
            if len(words) != 3 or int(words[1]) < count:
                rows[kind.name] = {"bytes": None, "held": int(words[1]) if len(words) == 3 else 0}
                continue
            rows[kind.name] = {"bytes": round(held / count), "held": count}
    return {"rows": rows}


def idle5k(bench):
    """5,000 idle keep-alive connections: resident bytes for each, without the kernel's."""
    return idle(bench, 5000)


def idle20k(bench):
    """20,000 idle connections, or as many as half the limit of descriptors allows (two for each proxied request)."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1] // 2 - 100
    return idle(bench, min(20000, most))


def start(bench):
    """From exec to the first response, and memory at rest."""
    rows = {}
    for kind in bench.contenders("get"):
        times, size = [], 0
        for _ in range(3 if bench.quick else 7):
            peer = kind(bench, "get")
            peer.command()  # Written and detected before the clock starts.
            waiter = measure.Load(bench, peer.port, SMALL, **{"await": 1, "seconds": 20})
            time.sleep(0.05)
            begin = time.monotonic_ns()
            peer.launch()
            output = waiter.process.communicate()[0]
            if not output.strip():
                peer.stop()
                raise RuntimeError("%s gave no response" % kind.name)
            times.append((int(output) - begin) / 1e6)
            size = measure.rss(peer.process.pid)
            peer.stop()
        rows[kind.name] = {"start_ms": round(statistics.median(times), 2), "rest_mib": round(size / 2**20, 2)}
    return {"rows": rows}


def workers(bench):
    """One worker and two, two on both cores beside the generator: CPU per request and rate."""
    rows = {}
    running = []
    try:
        for count in (1, 2):
            peer = peers.Sluice(bench, "get")
            peer.workers = count
            peer.name = "sluice, %d" % count
            running.append(peer.start(cores=range(count)))
            measure.load(bench, peer.port, SMALL, requests=2000)
        for _ in range(min(3, bench.rounds)):
            for peer in running:
                run = measure.run_counted(bench, peer, SMALL, requests=bench.scale(30000))
                run["rate"] = run["requests"] / run["seconds"]
                rows.setdefault(peer.name, []).append(run)
    finally:
        for peer in running:
            peer.stop()
    table = {name: {field: round(statistics.median(run[field] for run in runs), 2) for field in ("cpu_us", "rate")}
             for name, runs in rows.items()}
    note = "the generator and the upstream share core 1 with the second worker" if os.cpu_count() < 4 else ""
    return {"rows": table, "note": note}


ALL = {"get": get, "features": features, "down64k": down64k, "down1m": down1m, "up64k": up64k, "up1m": up1m,
       "tunnel_bulk": tunnel_bulk, "tunnel_small": tunnel_small, "forward_one": forward_one,
       "forward_many": forward_many, "churn": churn, "latency": latency, "idle5k": idle5k, "idle20k": idle20k,
       "start": start, "workers": workers}
