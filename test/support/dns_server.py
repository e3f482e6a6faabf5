#!/usr/bin/python3
"""A scriptable DNS server (UDP and TCP) on a free port of 127.0.0.1, for the integration tests.

    dns_server.py [--zone zone.json] [--port N]      prints its port, then obeys commands on stdin
    DnsServer({"ok.t": {"A": ["127.0.0.1"]}})        in a test; use it as a context manager

A zone maps a name (or "*.parent", or "*" for all others) to a record, or to a list of records that are used one a question,
the last one for ever. A record is an object, every member optional:

    A, AAAA    list of literals; a question of a type that is not there gets an empty answer
    ttl        seconds, default 60
    rcode      "NXDOMAIN", "SERVFAIL", "REFUSED", "NOTIMP", "FORMERR" or a number
    silent     true: never answered
    delay      seconds before the answer
    truncate   true: over UDP only the mark "ask again over TCP"
    wrong_id   true: a forged answer with another id (6.6.6.6) goes out before the right one; "only": alone
    cname      another name; followed inside the zone, a loop is sent as a loop
    types      {"AAAA": {...}}: another record for questions of that type

A name that is not in the zone does not exist. Commands on stdin, one line each, answered by one line:

    set NAME JSON      the record or list of NAME          ok
    del NAME                                               ok
    count [NAME [TYPE]]   questions so far                 a number
    reset              forgets the counts                  ok
    quit
"""

import argparse
import json
import socket
import struct
import sys
import threading
import time

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "HTTPS": 65, "ANY": 255}
TYPE_NAMES = {number: name for name, number in TYPES.items()}
RCODES = {"NOERROR": 0, "FORMERR": 1, "SERVFAIL": 2, "NXDOMAIN": 3, "NOTIMP": 4, "REFUSED": 5}
MAX_CNAMES = 8
UDP_SIZE = 1232
TCP_IDLE = 5.0
BIND_ATTEMPTS = 50


def encode_name(name):
    labels = [label.encode() for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def encode_record(name, kind, ttl, data):
    return encode_name(name) + struct.pack("!HHIH", kind, 1, ttl, len(data)) + data


def parse_question(packet):
    """(id, flags, name, type, the question's bytes), or None for what is no single question."""
    if len(packet) < 12:
        return None
    ident, flags, questions = struct.unpack("!HHH", packet[:6])
    at, labels = 12, []
    while questions == 1 and at < len(packet):
        size = packet[at]
        if size == 0:
            if at + 5 > len(packet):
                return None
            kind = struct.unpack("!H", packet[at + 1:at + 3])[0]
            return ident, flags, ".".join(labels).lower(), kind, packet[12:at + 5]
        if size > 63:
            return None
        labels.append(packet[at + 1:at + 1 + size].decode("latin-1"))
        at += size + 1
    return None


class DnsServer:
    def __init__(self, zone=None, port=0):
        self._lock = threading.Lock()
        self._zone = {}
        self._used = {}    # name: records of its list that are used up
        self._counts = {}  # (name, type): questions
        self._stopping = False
        for name, record in (zone or {}).items():
            self.set(name, record)
        self._udp, self._tcp = self._bind(port)
        self.port = self._udp.getsockname()[1]
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._serve_udp, self._serve_tcp)]
        for thread in self._threads:
            thread.start()

    @staticmethod
    def _bind(port):
        for _ in range(BIND_ATTEMPTS):
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            try:
                udp.bind(("127.0.0.1", port))
                tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                tcp.bind(udp.getsockname())
                tcp.listen(64)
                return udp, tcp
            except OSError:
                udp.close()
                tcp.close()
        raise OSError("no port is free for both UDP and TCP")

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.stop()

    @property
    def address(self):
        return "127.0.0.1:%d" % self.port

    def stop(self):
        self._stopping = True
        for sock in (self._udp, self._tcp):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # A UDP socket without a peer: its receiver wakes up all the same.
        for thread in self._threads:
            thread.join(2)
        self._udp.close()
        self._tcp.close()

    def set(self, name, record):
        records = record if isinstance(record, list) else [record]
        with self._lock:
            self._zone[name.lower().rstrip(".")] = [dict(item) for item in records]
            self._used[name.lower().rstrip(".")] = 0

    def delete(self, name):
        with self._lock:
            self._zone.pop(name.lower().rstrip("."), None)

    def count(self, name=None, kind=None):
        """Questions so far: all, those for `name`, or those for `name` of type `kind` ("A")."""
        with self._lock:
            return sum(n for (asked, asked_kind), n in self._counts.items()
                       if name in (None, asked) and kind in (None, asked_kind))

    def reset(self):
        with self._lock:
            self._counts.clear()

    def _record(self, name, take):
        """The record of a name, None if it does not exist. `take`: this question uses one of a sequence up."""
        with self._lock:
            keys = [name] + ["*." + name.split(".", i + 1)[-1] for i in range(name.count("."))] + ["*"]
            key = next((key for key in keys if key in self._zone), None)
            if key is None:
                return None
            records = self._zone[key]
            index = min(self._used[key], len(records) - 1)
            if take:
                self._used[key] += 1
            return records[index]

    def _answer(self, packet, is_tcp):
        """The packets to send, in order, and the delay before them."""
        question = parse_question(packet)
        if question is None:
            return [], 0
        ident, flags, name, kind, asked = question
        kind_name = TYPE_NAMES.get(kind, str(kind))
        with self._lock:
            self._counts[(name, kind_name)] = self._counts.get((name, kind_name), 0) + 1
        record = self._record(name, True)
        record = {"rcode": "NXDOMAIN"} if record is None else record
        record = record.get("types", {}).get(kind_name, record)
        if record.get("silent"):
            return [], 0
        rcode, records = self._collect(name, kind, kind_name, record)
        truncate = not is_tcp and (record.get("truncate") or sum(map(len, records)) > UDP_SIZE)

        def build(number, code, answers, cut):
            bits = 0x8080 | (flags & 0x0100) | (0x0200 if cut else 0) | code
            return struct.pack("!HHHHHH", number, bits, 1, len(answers), 0, 0) + asked + b"".join(answers)

        packets = []
        if record.get("wrong_id"):
            forged = [encode_record(name, TYPES["A"], 60, bytes([6, 6, 6, 6]))]
            packets.append(build(ident ^ 0x5A5A, 0, forged, False))
        if record.get("wrong_id") != "only":
            packets.append(build(ident, rcode, [] if truncate else records, truncate))
        return packets, record.get("delay", 0)

    def _collect(self, name, kind, kind_name, record):
        records = []
        for _ in range(MAX_CNAMES):
            rcode = record.get("rcode", 0)
            ttl = record.get("ttl", 60)
            if "cname" in record:
                records.append(encode_record(name, TYPES["CNAME"], ttl, encode_name(record["cname"])))
                name = record["cname"].lower().rstrip(".")
                record = self._record(name, False)
                if record is None:
                    return RCODES["NXDOMAIN"], records
                continue
            if kind_name in ("A", "AAAA"):
                family = socket.AF_INET if kind_name == "A" else socket.AF_INET6
                records += [encode_record(name, kind, ttl, socket.inet_pton(family, literal)) for literal in record.get(kind_name, [])]
            return RCODES.get(rcode, rcode) if isinstance(rcode, str) else rcode, records
        return 0, records  # A loop of aliases.

    def _later(self, delay, send, packets):
        def run():
            time.sleep(delay)
            for packet in packets:
                send(packet)
        if delay:
            threading.Thread(target=run, daemon=True).start()
        else:
            run()

    def _serve_udp(self):
        while not self._stopping:
            try:
                packet, peer = self._udp.recvfrom(4096)
            except OSError:
                return
            packets, delay = self._answer(packet, False)

            def send(data, peer=peer):
                try:
                    self._udp.sendto(data, peer)
                except OSError:
                    pass  # The peer or the server is gone.
            self._later(delay, send, packets)

    def _serve_tcp(self):
        while not self._stopping:
            try:
                connection, _ = self._tcp.accept()
            except OSError:
                return
            threading.Thread(target=self._serve_connection, args=(connection,), daemon=True).start()

    def _serve_connection(self, connection):
        connection.settimeout(TCP_IDLE)
        try:
            with connection, connection.makefile("rb") as stream:
                while True:
                    head = stream.read(2)
                    if len(head) < 2:
                        return
                    packets, delay = self._answer(stream.read(struct.unpack("!H", head)[0]), True)
                    time.sleep(delay)
                    for packet in packets:
                        connection.sendall(struct.pack("!H", len(packet)) + packet)
        except OSError:
            pass  # Idle for too long, or closed by the peer.


def obey(server, line):
    """The answer to one command, None for `quit`."""
    words = line.strip().split(None, 2)
    if not words:
        return "error: empty"
    try:
        if words[0] == "set":
            server.set(words[1], json.loads(words[2]))
        elif words[0] == "del":
            server.delete(words[1])
        elif words[0] == "count":
            return str(server.count(*words[1:]))
        elif words[0] == "reset":
            server.reset()
        elif words[0] == "quit":
            return None
        else:
            return "error: unknown command"
    except (IndexError, ValueError) as error:
        return "error: %s" % error
    return "ok"


def main():
    parser = argparse.ArgumentParser(description="A scriptable DNS server for tests.")
    parser.add_argument("--zone", help="a JSON file: name -> record or list of records")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    arguments = parser.parse_args()
    zone = {}
    if arguments.zone:
        with open(arguments.zone, encoding="utf-8") as file:
            zone = json.load(file)
    with DnsServer(zone, arguments.port) as server:
        print(server.port, flush=True)
        for line in sys.stdin:
            answer = obey(server, line)
            if answer is None:
                return
            print(answer, flush=True)


if __name__ == "__main__":
    main()
