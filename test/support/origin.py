"""Origins: servers on loopback that record what they received and answer as the test says."""
import socket
import threading

from test.support.wire import Wire


class RawOrigin:
    """Calls `serve(wire)` in a thread for every connection and closes it afterwards."""

    def __init__(self, serve, address="127.0.0.1", context=None, port=0):
        self.serve = serve
        self.connections = 0
        self.errors = []
        self._context = context
        self._open = set()
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.create_server((address, port), family=family, backlog=1024)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        """Stops listening and closes what is open."""
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection):
        try:
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
        except OSError as error:
            self.errors.append(error)
            return
        self._open.add(connection)
        try:
            self.serve(Wire(connection))
        except (OSError, EOFError, ValueError, IndexError) as error:
            # The end came early, or what came is not HTTP.
            self.errors.append(error)
        finally:
            self._open.discard(connection)
            connection.close()


def ok(body=b"hello", *headers):
    """The bytes of a plain 200."""
    lines = ["HTTP/1.1 200 OK", "content-length: %d" % len(body), *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def on_one_port(*makers, attempts=50):
    """Origins on different addresses and the same port: each of `makers` is called with a port, the first one with 0."""
    for attempt in range(attempts):
        origins = [makers[0](0)]
        try:
            for make in makers[1:]:
                origins.append(make(origins[0].port))
            return origins
        except OSError:
            # Somebody else has that port on one of the addresses.
            for origin in origins:
                origin.close()
            if attempt + 1 == attempts:
                raise
    return []


class HttpOrigin(RawOrigin):
    """Answers every request with `answer`: bytes, or a function of the request that returns bytes.

    The function may return None to close the connection. All requests stand in `requests`.
    """

    def __init__(self, answer=None, **keywords):
        self.answer = ok() if answer is None else answer
        self.requests = []
        super().__init__(self._requests, **keywords)

    def _requests(self, wire):
        while True:
            if not wire.buffer and wire.at_eof():
                return
            request = wire.message()
            request.connection = wire
            self.requests.append(request)
            answer = self.answer(request) if callable(self.answer) else self.answer
            if answer is None:
                return
            if request.method == "HEAD":
                answer = answer[:answer.index(b"\r\n\r\n") + 4]
            wire.send(answer)


def closed_port():
    """A port of loopback on which nobody listens, and the socket that keeps it from being reused."""
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    return holder.getsockname()[1], holder
