"""A DNS server on loopback whose answers the test chooses; it also counts the questions."""
import socket
import threading
import time

import dnslib

NXDOMAIN = "nxdomain"
NO_DATA = "no data"
SERVFAIL = "servfail"
REFUSED = "refused"
SILENT = "silent"

_CODES = {NXDOMAIN: dnslib.RCODE.NXDOMAIN, SERVFAIL: dnslib.RCODE.SERVFAIL, REFUSED: dnslib.RCODE.REFUSED}


class NameServer:
    """Answers from `zone`: lower-case name to a list of addresses or to one of the constants above.

    A name that is not there does not exist. `delay` seconds pass before each answer.
    """

    def __init__(self, zone=None, ttl=60, delay=0):
        self.zone = dict(zone or {})
        self.ttl = ttl
        self.delay = delay
        self.questions = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        self._socket.close()

    def count(self, name):
        """Questions about `name` so far."""
        return self.questions.count(name)

    def _serve(self):
        while True:
            try:
                packet, peer = self._socket.recvfrom(4096)
            except OSError:
                return
            try:
                query = dnslib.DNSRecord.parse(packet)
            except dnslib.DNSError:
                continue
            name = str(query.q.qname).rstrip(".").lower()
            self.questions.append(name)
            answer = self._answer(query, name)
            if answer is None:
                continue
            if self.delay:
                threading.Timer(self.delay, self._send, (answer, peer)).start()
            else:
                self._send(answer, peer)

    def _send(self, answer, peer):
        try:
            self._socket.sendto(answer.pack(), peer)
        except OSError:
            pass

    def _answer(self, query, name):
        entry = self.zone.get(name, NXDOMAIN)
        if callable(entry):
            entry = entry()
        if entry == SILENT:
            return None
        reply = query.reply()
        if isinstance(entry, str) and entry in _CODES:
            reply.header.rcode = _CODES[entry]
            return reply
        if entry == NO_DATA:
            return reply
        for address in entry:
            wanted = dnslib.QTYPE.AAAA if ":" in address else dnslib.QTYPE.A
            if query.q.qtype == wanted:
                data = dnslib.AAAA(address) if ":" in address else dnslib.A(address)
                reply.add_answer(dnslib.RR(query.q.qname, wanted, rdata=data, ttl=self.ttl))
        return reply


def wait_for(condition, seconds=5.0, what="condition"):
    """Waits until `condition()` is true and returns its value; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("%s: not within %g s" % (what, seconds))
        time.sleep(0.01)
