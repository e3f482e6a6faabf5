"""A client that says exactly what the test tells it to."""
import socket

from test.support.wire import Wire


class Client(Wire):
    """One connection to the proxy: to a port on loopback, or to the path of a Unix socket."""

    def __init__(self, where, timeout=10.0, host="127.0.0.1"):
        if isinstance(where, str):
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(timeout)
            connection.connect(where)
        else:
            connection = socket.create_connection((host, where), timeout)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().__init__(connection, timeout)

    def request(self, method, target, host=None, headers=(), body=None):
        """Sends one request; a body gets a Content-Length."""
        lines = ["%s %s HTTP/1.1" % (method, target)]
        if host is not None:
            lines.append("Host: %s" % host)
        lines += ["%s: %s" % field for field in headers]
        if body is not None:
            lines.append("Content-Length: %d" % len(body))
        self.send("\r\n".join(lines) + "\r\n\r\n", body or b"")

    def response(self, to="GET"):
        """The next response, whole."""
        return self.message(True, to.encode())

    def ask(self, method, target, host=None, headers=(), body=None):
        """Sends one request and reads the response."""
        self.request(method, target, host, headers, body)
        return self.response(method)


def ask(where, method, target, host=None, headers=(), body=None):
    """One request on a connection of its own."""
    with Client(where) as client:
        return client.ask(method, target, host, headers, body)
