#!/usr/bin/env python3
"""Turns tables of API facts into one embedded FileDescriptorSet of all their messages.

usage: descriptors.py PROTOC OUT.cc API_DIR TABLE...

The tables become .proto files in a temporary folder, protoc makes their descriptor set together with the .proto files below
API_DIR/sluice, and OUT.cc holds its bytes. Rules and services are left out: only names, numbers, types and `deprecated` count.
"""
import os
import re
import subprocess
import sys
import tempfile

SCALARS = set("double float int32 int64 uint32 uint64 sint32 sint64 fixed32 fixed64 sfixed32 sfixed64 bool string bytes".split())
GOOGLE = {
    "any": "Any", "duration": "Duration", "empty": "Empty", "timestamp": "Timestamp",
    "struct": "Struct Value ListValue NullValue",
    "descriptor": "FieldOptions MessageOptions FileOptions",
    "wrappers": "DoubleValue FloatValue Int64Value UInt64Value Int32Value UInt32Value BoolValue StringValue BytesValue",
}
FIELD = re.compile(r"(\w+) = (\d+) (?:(repeated|optional) )?(?:map<([^,]+), ?([^>]+)>|([\w.]+))(.*)")


class Node:
    """A line of a table and the lines indented below it."""

    def __init__(self, text, indent):
        self.text, self.indent, self.children = text, indent, []

    def block(self):
        """(message|enum|oneof, name), or None."""
        found = re.match(r"(message|enum|oneof) (\w+)", self.text)
        return found.groups() if found and not FIELD.match(self.text) else None


def parse(table):
    """[(path, package, root)]"""
    files, stack = [], []
    with open(table, encoding="utf-8") as lines:
        for line in map(str.rstrip, lines):
            found = re.match(r"file (\S+)\s+package (\S+)", line)
            if found:
                stack = [Node(line, -1)]
                files.append((found.group(1), found.group(2), stack[0]))
            elif stack and line.startswith("  "):
                node = Node(line.strip(), len(line) - len(line.lstrip()))
                while stack[-1].indent >= node.indent:
                    stack.pop()
                stack[-1].children.append(node)
                stack.append(node)
    return files


def declared(scope, node):
    """The full names of the messages and enums below a node."""
    for child in node.children:
        block = child.block()
        if block and block[0] != "oneof":
            name = scope + "." + block[1]
            yield name
            yield from declared(name, child)


class File:
    def __init__(self, package, root, home):
        self.home, self.imports = home, set()
        self.lines = self.body(root, package)

    def type(self, name, scope):
        """The absolute name of a type seen from a scope; None if no table declares it."""
        if name in SCALARS:
            return name
        parts = [] if name.startswith(".") else scope.split(".")
        name = name.lstrip(".")
        for length in range(len(parts), -1, -1):
            full = ".".join(parts[:length] + [name])
            if full in self.home:
                self.imports.add(self.home[full])
                return "." + full
        return None

    def body(self, node, scope, kind="file"):
        out = []
        for child in node.children:
            block = child.block()
            if block:
                inner = self.body(child, scope if block[0] == "oneof" else scope + "." + block[1], block[0])
                if block[0] == "oneof" and not inner:
                    continue
                numbers = [line.split("=")[1] for line in inner if block[0] == "enum"]
                alias = ["option allow_alias = true;"] if len(numbers) > len(set(numbers)) else []
                out += ["%s %s {" % block] + alias + inner + ["}"]
            elif kind == "enum":
                found = re.match(r"(\w+ = -?\d+)", child.text)
                out += [found.group(1) + ";"] if found else []
            else:
                out += self.field(child.text, scope)
        return out

    def field(self, text, scope):
        found = FIELD.match(text)
        if not found:
            return []
        name, number, label, key, value, single, rest = found.groups()
        resolved = self.type(value or single, scope)
        if not resolved:
            return []
        if key:
            resolved = "map<%s, %s>" % (key, resolved)
        deprecated = re.search(r"\bdeprecated\b", rest.split("  # ")[0])
        return ["%s %s %s = %s%s;" % (label or "", resolved, name, number, " [deprecated = true]" if deprecated else "")]


def write_protos(tables, folder):
    """Writes the tables as .proto files; returns their paths."""
    files = [one for table in tables for one in parse(table)]
    home = {"google.protobuf." + n: "google/protobuf/%s.proto" % f for f, names in GOOGLE.items() for n in names.split()}
    for path, package, root in files:
        home.update((name, path) for name in declared(package, root))
    for path, package, root in files:
        one = File(package, root, home)
        target = os.path.join(folder, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "w", encoding="utf-8") as out:
            out.write('syntax = "proto3";\npackage %s;\n' % package)
            out.writelines('import "%s";\n' % other for other in sorted(one.imports - {path}))
            out.write("\n".join(one.lines) + "\n")
    return [path for path, _, _ in files]


def embed(data):
    """The bytes as a C++ source file, in lines of a string literal (cheap to compile)."""
    safe = {byte: chr(byte) for byte in range(0x20, 0x7F) if chr(byte) not in '"\\?'}
    lines = []
    for start in range(0, len(data), 4096):
        lines.append('"' + "".join(safe.get(byte) or "\\%03o" % byte for byte in data[start:start + 4096]) + '"')
    return ("// Generated by api/known/descriptors.py: a FileDescriptorSet.\n#include <cstddef>\n"
            "namespace sluice::config {\nextern const char kKnownApi[];\nextern const size_t kKnownApiSize;\n"
            "const char kKnownApi[] =\n%s;\nconst size_t kKnownApiSize = %d;\n}\n" % ("\n".join(lines), len(data)))


def main():
    protoc, out, api, tables = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
    ours = [os.path.relpath(os.path.join(folder, name), api)
            for folder, _, names in os.walk(os.path.join(api, "sluice")) for name in names if name.endswith(".proto")]
    with tempfile.TemporaryDirectory() as folder:
        paths = write_protos(tables, folder)
        result = os.path.join(folder, "descriptors.pb")
        subprocess.run([protoc, "-I" + folder, "-I" + api, "-I/usr/include", "--include_imports",
                        "--descriptor_set_out=" + result] + paths + sorted(ours), check=True)
        with open(result, "rb") as data, open(out, "w", encoding="ascii") as source:
            source.write(embed(data.read()))


if __name__ == "__main__":
    main()
