"""Mutations of configuration files: what a hand, a template or an attacker makes of a valid one. Pure; repeatable by the generator's seed."""
import glob
import json
import os
import re

from test.support import config
from test.support.proxy import ROOT

VALUES = (b"", b"null", b"~", b"[]", b"{}", b"true", b"-1", b"1e309", b".nan", b".inf", b"99999999999999999999", b"0x10", b"\"\"", b"'", b"\"", b"*x",
          b"&x y", b"!!binary x", b"!!python/object:os.system x", b"nans", b"-0.0s", b"1e99s", b"999999999999999999999s", b"1.0000000001s", b"\xff\xfe",
          b"\x00", "ä\u202e".encode(), b"a" * 70000, b"STATIK", b"|\n", b">-\n", b"[[[[", b"{{", b"%YAML 9.9", b"<<: *x", b"? x", b"0", b"NaN")


def valid_files():
    """The files that are mutated: name -> bytes."""
    files = {os.path.basename(path): open(path, "rb").read() for path in sorted(glob.glob(os.path.join(ROOT, "examples", "*.yaml")))}
    built = config.bootstrap(config.listener(config.http([config.connect(), config.forward("o")], log="/dev/null")), [config.cluster("o", 1)])
    files["built.json"] = json.dumps(built, indent=1).encode()
    return files


def depth(levels, kind):
    if kind == 0:
        return b"a: " + b"[" * levels + b"]" * levels
    if kind == 1:
        return b"\n".join(b" " * level + b"a:" for level in range(min(levels, 3000)))
    return b"{\"a\":" * levels + b"1" + b"}" * levels


def bombs():
    """Files that are large once they are read, or on disk: (label, bytes)."""
    yield "10,000 brackets", depth(10_000, 0)
    yield "3,000 levels of indent", depth(3_000, 1)
    yield "10,000 braces", depth(10_000, 2)
    levels = [b"a0: &a0 [" + b"x, " * 9 + b"x]"]
    levels += [b"a%d: &a%d [" % (level, level) + b", ".join([b"*a%d" % (level - 1)] * 10) + b"]" for level in range(1, 10)]
    yield "anchors", b"\n".join(levels)
    merged = [b"b0: &b0 { x: 1 }"] + [b"b%d: &b%d { <<: [*b%d, *b%d] }" % (level, level, level - 1, level - 1) for level in range(1, 40)]
    yield "merge keys", b"\n".join(merged)
    yield "an anchor in itself", b"a: &a [*a]"
    yield "a million keys", b"\n".join(b"k%d: 1" % number for number in range(300_000))
    yield "50 MB", b"node: { id: " + b"x" * 50_000_000 + b" }"
    yield "50 MB of comment", b"# " + b"x" * 50_000_000
    yield "a key of 1 MB", b"k" * 1_000_000 + b": 1"
    yield "nothing", b""
    yield "zeros", b"\x00" * 1000
    yield "documents", b"---\na: 1\n" * 1000


def mutate(data, rng):
    """(label, bytes): one to three changes of a valid file."""
    labels = []
    for _ in range(rng.choice((1, 1, 2, 3))):
        lines = data.split(b"\n")
        place = rng.randrange(len(lines))
        kind = rng.choice(("value", "value", "value", "key", "remove", "twice", "move", "cut", "byte", "indent", "number", "duration", "splice"))
        labels.append(kind)
        if kind == "value":
            lines[place] = re.sub(rb":.*$", lambda _: b": " + rng.choice(VALUES), lines[place], count=1)
        elif kind == "key":
            lines[place] = re.sub(rb"[a-z_]{3,}", lambda _: rng.choice((b"x", b"name", b"@type", b"typed_config", b"a" * 300, b"")), lines[place], count=1)
        elif kind == "remove":
            del lines[place]
        elif kind == "twice":
            lines.insert(place, lines[place])
        elif kind == "move":
            lines.insert(rng.randrange(len(lines)), lines.pop(place))
        elif kind == "cut":
            lines = lines[:place] + [lines[place][:rng.randrange(len(lines[place]) + 1)]] if rng.random() < 0.3 else lines
        elif kind == "byte":
            lines[place] = lines[place][:place % (len(lines[place]) + 1)] + bytes([rng.randrange(256)]) + lines[place][place % (len(lines[place]) + 1):]
        elif kind == "indent":
            lines[place] = b" " * rng.randrange(8) + lines[place].lstrip()
        elif kind == "number":
            lines[place] = re.sub(rb"\d+", lambda _: rng.choice((b"-1", b"4294967296", b"18446744073709551616", b"1e400", b"0", b"65536", b"1.5")), lines[place])
        elif kind == "duration":
            lines[place] = re.sub(rb"\b[\d.]+s\b", lambda _: rng.choice((b"-1s", b"NaNs", b"315576000001s", b"1e9s", b"0s", b"s", b"1.s", b".5s", b"1m")), lines[place])
        else:
            other = rng.randrange(len(lines))
            lines[place:place] = lines[other:other + rng.randrange(1, 8)]
        data = b"\n".join(lines)
    return "+".join(labels), data


def mutations(files, rng, count):
    """The bombs, the valid files themselves, and `count` mutations of them."""
    yield from bombs()
    for name, data in files.items():
        yield name, data
    names = sorted(files)
    for _ in range(count):
        name = rng.choice(names)
        label, data = mutate(files[name], rng)
        yield name + " " + label, data
