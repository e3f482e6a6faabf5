"""Listeners of every kind, limits of connections, and tcp_proxy."""
import os
import socket
import threading
import unittest

from test.support import config
from test.support.client import Client
from test.support.proxy import ProxyTest
from test.support.wait import wait_for


class Listeners(ProxyTest):
    """IPv6, Unix sockets, several at once."""

    def direct(self, *listeners):
        return self.start(config.bootstrap(listeners))

    def test_several(self):
        self.direct(config.listener(config.http([config.direct(200, "one")], prefix="one"), name="one"),
                    config.listener(config.http([config.direct(200, "two")], prefix="two"), name="two"))
        for name in ("one", "two"):
            with Client(self.proxy.port(name)) as client:
                self.assertEqual(name, client.ask("GET", "/", "h").text())
        self.proxy.wait_stat("http.one.downstream_rq_total", 1)

    def test_ipv6(self):
        self.direct(config.listener(config.http([config.direct(200, "six")]),
                                    address=config.socket_address("::1")))
        with Client(self.proxy.port(), host="::1") as client:
            self.assertEqual("six", client.ask("GET", "/", "h").text())

    def test_unix_socket(self):
        path = os.path.join(self.files, "s")
        self.direct(config.listener(config.http([config.direct(200, "unix")]),
                                    address={"pipe": {"path": path, "mode": 0o600}}))
        self.assertEqual(0o600, os.stat(path).st_mode & 0o777)
        with Client(path) as client:
            self.assertEqual("unix", client.ask("GET", "/", "h").text())

    def test_unix_socket_with_all_workers(self):
        path = os.path.join(self.files, "s")
        self.direct(config.listener(config.http([config.direct(200, "unix")]),
                                    address={"pipe": {"path": path}}))
        for _ in range(20):
            with Client(path) as client:
                self.assertEqual(200, client.ask("GET", "/", "h").status)

    def test_thousand_connections(self):
        """1,000 at once, all answered, all gone afterwards."""
        origin = self.origin()
        self.start(config.bootstrap(
            config.listener(config.http([config.forward("origin")])),
            [config.cluster("origin", origin.port,
                            **config.breakers(max_connections=2000, max_pending_requests=2000,
                                              max_requests=2000))]))
        port = self.proxy.port()
        clients = []
        self.addCleanup(lambda: [client.close() for client in clients])
        for _ in range(1000):
            clients.append(Client(port, timeout=30))
        self.proxy.wait_stat("http.ingress.downstream_cx_active", 1000)
        for client in clients:
            client.request("GET", "/", "h")
        self.assertEqual([200] * 1000, [client.response().status for client in clients])
        for client in clients:
            client.close()
        self.proxy.wait_stat("http.ingress.downstream_cx_active", 0)


class TcpProxy(ProxyTest):
    """The network filter tcp_proxy."""

    def tunnel(self, serve):
        origin = self.raw_origin(serve)
        self.start(config.bootstrap(config.listener(config.tcp("origin", log=self.log_path)),
                                    [config.cluster("origin", origin.port)]))
        return self.client()

    def test_echo(self):
        client = self.tunnel(lambda wire: wire.send(wire.read(4)))
        client.send("ping")
        self.assertEqual(b"ping", client.rest())
        client.close()
        self.proxy.wait_stat("tcp.tcp.downstream_cx_total", 1)
        self.proxy.wait_stat("cluster.origin.upstream_cx_active", 0)
        entry = self.log()
        self.assertEqual((4, 4), (entry["received"], entry["sent"]))

    def test_half_close(self):
        client = self.tunnel(lambda wire: wire.send(b"got %d" % len(wire.rest())))
        client.send(b"x" * 100000)
        client.finish()
        self.assertEqual(b"got 100000", client.rest())

    def test_origin_speaks_first(self):
        client = self.tunnel(lambda wire: (wire.send("220 ready\r\n"), wire.rest()))
        self.assertEqual(b"220 ready", client.line())

    def test_big_both_ways(self):
        data = os.urandom(1 << 20) * 4

        def serve(wire):
            sender = threading.Thread(target=lambda: (wire.send(data), wire.finish()))
            sender.start()
            got = wire.rest()
            sender.join()
            results.append(got == data)
        results = []
        client = self.tunnel(serve)
        sender = threading.Thread(target=lambda: (client.send(data), client.finish()))
        sender.start()
        self.assertTrue(client.rest() == data)
        sender.join()
        wait_for(lambda: results)
        self.assertEqual([True], results)

    def test_origin_refuses(self):
        holder = socket.socket()
        holder.bind(("127.0.0.1", 0))
        self.addCleanup(holder.close)
        self.start(config.bootstrap(config.listener(config.tcp("origin", log=self.log_path)),
                                    [config.cluster("origin", holder.getsockname()[1])]))
        with self.client() as client:
            self.assertEqual(b"", client.rest())
        self.assertIn("UF", self.log()["flags"])


if __name__ == "__main__":
    unittest.main()
