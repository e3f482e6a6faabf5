"""Big transfers: every byte arrives, and the proxy's memory stays small."""
import hashlib
import os
import threading
import unittest

from test.support import config
from test.support.proxy import IS_ENVOY, SANITIZER, ProxyTest
from test.support.wait import wait_for

MIB = 1 << 20
SIZE = (256 if SANITIZER else 1024) * MIB
# Sanitizers keep freed memory; there the transfer itself is the test.
MAX_RSS = None if SANITIZER else 100 * MIB
BLOCK = os.urandom(MIB)


def block(number):
    """The MiB `number` of the stream: no two are equal."""
    return number.to_bytes(8, "big") + BLOCK[8:]


class Transfer(ProxyTest):
    """A gateway, an origin that sends or counts, and a look at the memory while it goes on."""

    def gateway(self, serve):
        origin = self.raw_origin(serve)
        manager = config.http([config.connect("origin"), config.forward("origin", action={"timeout": "0s"})],
                              upgrade_configs=[{"upgrade_type": "CONNECT"}])
        self.start(config.bootstrap(config.listener(manager), [config.cluster("origin", origin.port)]))
        self.peak = 0
        self.done = threading.Event()
        watcher = threading.Thread(target=self.watch, daemon=True)
        watcher.start()
        self.addCleanup(self.done.set)
        self.before = self.proxy.rss()

    def watch(self):
        while not self.done.wait(0.05) and self.proxy.running():
            self.peak = max(self.peak, self.proxy.rss())

    def check_memory(self):
        self.done.set()
        self.assertGreater(self.peak, 0)
        if MAX_RSS and not IS_ENVOY:
            self.assertLess(self.peak, MAX_RSS)
        elif MAX_RSS:
            self.assertLess(self.peak - self.before, MAX_RSS)

    def receive(self, wire, size):
        """Reads `size` bytes of the stream and checks them."""
        view = memoryview(bytearray(MIB))
        position = 0
        rest = wire.buffer
        wire.buffer = bytearray()
        for number in range(size // MIB):
            filled = min(len(rest), MIB)
            view[:filled] = rest[:filled]
            rest = rest[filled:]
            while filled < MIB:
                count = wire.socket.recv_into(view[filled:])
                if count == 0:
                    raise EOFError("EOF after %d bytes" % (position + filled))
                filled += count
            if view != block(number):
                raise AssertionError("MiB %d differs" % number)
            position += MIB
        wire.buffer = bytearray(rest)

    def transmit(self, wire, size):
        for number in range(size // MIB):
            wire.socket.sendall(block(number))

    def test_download(self):
        def serve(wire):
            wire.head()
            wire.send("HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % SIZE)
            self.transmit(wire, SIZE)
        self.gateway(serve)
        with self.client(timeout=60) as client:
            client.request("GET", "/", "h")
            self.assertEqual(200, client.head().status)
            self.receive(client, SIZE)
        self.check_memory()

    def test_upload(self):
        failures = []

        def serve(wire):
            wire.head()
            try:
                self.receive(wire, SIZE)
            except (AssertionError, EOFError) as error:
                failures.append(error)
            wire.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone")
        self.gateway(serve)
        with self.client(timeout=60) as client:
            client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % SIZE)
            self.transmit(client, SIZE)
            self.assertEqual(b"done", client.response().body)
        self.assertEqual([], failures)
        self.check_memory()

    def pipes(self):
        folder = "/proc/%d/fd" % self.proxy.pid
        return sum(os.readlink(os.path.join(folder, name)).startswith("pipe:") for name in os.listdir(folder))

    def test_tunnel_both_ways(self):
        size = SIZE // 4
        failures = []

        def serve(wire):
            sender = threading.Thread(target=self.transmit, args=(wire, size))
            sender.start()
            try:
                self.receive(wire, size)
            except (AssertionError, EOFError) as error:
                failures.append(error)
            sender.join()
        self.gateway(serve)
        with self.client(timeout=60) as client:
            client.request("CONNECT", "h:1", "h:1")
            self.assertEqual(200, client.response("CONNECT").status)
            before = self.pipes()
            sender = threading.Thread(target=self.transmit, args=(client, size))
            sender.start()
            self.receive(client, size)
            sender.join()
            self.assertEqual(b"", client.rest())
            if not IS_ENVOY:  # What is bulky is not copied: the pipes through which it went are kept.
                self.assertGreater(self.pipes(), before)
        self.assertEqual([], failures)
        self.check_memory()

    def test_slow_client_stops_the_origin(self):
        """Back-pressure: what the client does not read is not buffered."""
        sent = [0]
        stop = threading.Event()
        self.addCleanup(stop.set)

        def serve(wire):
            wire.head()
            wire.send("HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % SIZE)
            wire.socket.settimeout(0.1)
            while not stop.is_set():
                try:
                    sent[0] += wire.socket.send(BLOCK)
                except TimeoutError:
                    pass
        self.gateway(serve)
        with self.client() as client:
            client.request("GET", "/", "h")
            self.assertEqual(200, client.head().status)
            last = [-1]

            def stopped():
                before, last[0] = last[0], sent[0]
                return before == sent[0] and not self.done.wait(0.2)
            wait_for(stopped, 10, "the origin to be stopped")
            self.assertLess(sent[0], 32 * MIB)
        self.proxy.wait_stat("cluster.origin.upstream_rq_active", 0)
        self.check_memory()

    def test_chunked_download(self):
        size = SIZE // 8

        def serve(wire):
            wire.head()
            wire.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            for number in range(size // MIB):
                wire.send("%x\r\n" % MIB, block(number), "\r\n")
            wire.send("0\r\n\r\n")
        self.gateway(serve)
        digest = hashlib.sha256()
        with self.client(timeout=60) as client:
            client.request("GET", "/", "h")
            self.assertIn("chunked", client.head().header("transfer-encoding"))
            while True:
                length = int(client.line().split(b";")[0], 16)
                if length == 0:
                    self.assertEqual(b"", client.line())
                    break
                digest.update(client.read(length))
                self.assertEqual(b"", client.line())
        expected = hashlib.sha256()
        for number in range(size // MIB):
            expected.update(block(number))
        self.assertEqual(expected.hexdigest(), digest.hexdigest())
        self.check_memory()


if __name__ == "__main__":
    unittest.main()
