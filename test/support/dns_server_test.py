#!/usr/bin/python3
"""The test DNS server itself, asked over raw sockets. Standard library only."""

import os
import socket
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from dns_server import TYPES, DnsServer, encode_name  # noqa: E402


def question(name, kind, ident=77):
    return struct.pack("!HHHHHH", ident, 0x0100, 1, 0, 0, 0) + encode_name(name) + struct.pack("!HH", TYPES[kind], 1)


def ask(port, name, kind="A", tcp=False, patience=2.0):
    """(id, rcode, truncated, records in the answer, the packet) or None when nothing comes."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as sock:
        sock.settimeout(patience)
        sock.connect(("127.0.0.1", port))
        packet = question(name, kind)
        sock.sendall(struct.pack("!H", len(packet)) + packet if tcp else packet)
        try:
            data = sock.recv(65535)
        except socket.timeout:
            return None
        if tcp:
            wanted = struct.unpack("!H", data[:2])[0]
            while len(data) < wanted + 2:
                data += sock.recv(65535)
            data = data[2:]
    ident, flags, _, answers = struct.unpack("!HHHH", data[:8])
    return ident, flags & 15, bool(flags & 0x0200), answers, data


class DnsServerTest(unittest.TestCase):
    def test_zone(self):
        zone = {
            "ok.t": {"A": ["127.0.0.1", "127.0.0.2"], "AAAA": ["::1"], "ttl": 7},
            "servfail.t": {"rcode": "SERVFAIL"},
            "refused.t": {"rcode": "REFUSED"},
            "silent.t": {"silent": True},
            "cut.t": {"A": ["127.0.0.3"], "truncate": True},
            "big.t": {"A": ["10.0.%d.%d" % (i // 256, i % 256) for i in range(500)]},
            "forged.t": {"A": ["127.0.0.4"], "wrong_id": True},
            "alias.t": {"cname": "ok.t"},
            "loop.t": {"cname": "loop.t"},
            "dangling.t": {"cname": "nowhere.t"},
            "*.wild.t": {"A": ["127.0.0.5"]},
            "late.t": {"A": ["127.0.0.6"], "delay": 0.05},
            "six.t": {"A": ["127.0.0.7"], "types": {"AAAA": {"rcode": "SERVFAIL"}}},
        }
        with DnsServer(zone) as server:
            port = server.port
            self.assertEqual(ask(port, "OK.t")[:4], (77, 0, False, 2))
            self.assertIn(socket.inet_aton("127.0.0.2"), ask(port, "ok.t")[4])
            self.assertEqual(ask(port, "ok.t", "AAAA")[3], 1)
            self.assertEqual(ask(port, "ok.t", "MX")[:4], (77, 0, False, 0))
            self.assertEqual(ask(port, "nx.t")[1], 3)
            self.assertEqual(ask(port, "servfail.t")[1], 2)
            self.assertEqual(ask(port, "refused.t")[1], 5)
            self.assertIsNone(ask(port, "silent.t", patience=0.2))
            self.assertEqual(ask(port, "cut.t")[2:4], (True, 0))
            self.assertEqual(ask(port, "cut.t", tcp=True)[2:4], (False, 1))
            self.assertEqual(ask(port, "big.t")[2:4], (True, 0))
            self.assertEqual(ask(port, "big.t", tcp=True)[2:4], (False, 500))
            self.assertNotEqual(ask(port, "forged.t")[0], 77)
            self.assertEqual(ask(port, "alias.t")[3], 3)
            self.assertEqual(ask(port, "loop.t")[3], 8)
            self.assertEqual(ask(port, "dangling.t")[1], 3)
            self.assertEqual(ask(port, "a.b.wild.t")[3], 1)
            self.assertEqual(ask(port, "late.t")[3], 1)
            self.assertEqual(ask(port, "six.t", "AAAA")[1], 2)
            self.assertEqual(ask(port, "six.t")[3], 1)
            self.assertEqual(server.count("ok.t"), 4)
            self.assertEqual(server.count("ok.t", "AAAA"), 1)

    def test_sequence(self):
        with DnsServer({"flip.t": [{"A": ["1.1.1.1"]}, {"rcode": "SERVFAIL"}, {"A": ["127.0.0.1"]}]}) as server:
            self.assertEqual([ask(server.port, "flip.t")[1] for _ in range(4)], [0, 2, 0, 0])
            self.assertIn(socket.inet_aton("127.0.0.1"), ask(server.port, "flip.t")[4])

    def test_command_line(self):
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "dns_server.py")
        with subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            port = int(process.stdout.readline())

            def command(line):
                process.stdin.write(line + "\n")
                process.stdin.flush()
                return process.stdout.readline().strip()

            self.assertEqual(command('set a.t {"A": ["127.0.0.1"]}'), "ok")
            self.assertEqual(ask(port, "a.t")[3], 1)
            self.assertEqual(command("count a.t A"), "1")
            self.assertEqual(command("count"), "1")
            self.assertEqual(command("del a.t"), "ok")
            self.assertEqual(ask(port, "a.t")[1], 3)
            self.assertEqual(command("reset"), "ok")
            self.assertEqual(command("count"), "0")
            self.assertTrue(command("set a.t {").startswith("error"))
            process.stdin.write("quit\n")
            process.stdin.flush()
            self.assertEqual(process.wait(5), 0)


if __name__ == "__main__":
    unittest.main()
