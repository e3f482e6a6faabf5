"""HTTP/1.1 on a raw socket, byte by byte: what client and origin of the tests share."""
import socket

CRLF = b"\r\n"


class Message:
    """A request or response as it was received."""

    def __init__(self):
        self.raw = b""
        self.start = b""
        self.headers = []  # (name as written, value), text
        self.body = b""
        self.trailers = []

    @property
    def status(self):
        return int(self.start.split(b" ")[1])

    @property
    def method(self):
        return self.start.split(b" ")[0].decode()

    @property
    def target(self):
        return self.start.split(b" ")[1].decode()

    def header(self, name, default=None):
        """The values of the header fields `name`, joined by a comma."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        return ",".join(values) if values else default

    def text(self):
        return self.body.decode()

    def __repr__(self):
        return "<%s %r body %r>" % (self.start.decode(errors="replace"), self.headers, self.body[:200])


class Wire:
    """A socket with a buffer. Every read has the timeout of the socket."""

    def __init__(self, connection, timeout=10.0):
        connection.settimeout(timeout)
        self.socket = connection
        self.buffer = bytearray()
        self._record = None  # what the message that is being read consists of

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, *parts):
        self.socket.sendall(b"".join(part.encode() if isinstance(part, str) else part for part in parts))

    def finish(self):
        """Sends FIN; reading goes on."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """Closes with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.socket.close()

    def _fill(self):
        data = self.socket.recv(65536)
        self.buffer += data
        return bool(data)

    def _take(self, count):
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        if self._record is not None:
            self._record += data
        return data

    def read(self, count):
        """Exactly `count` bytes."""
        while len(self.buffer) < count:
            if not self._fill():
                raise EOFError("EOF after %r, wanted %d bytes" % (bytes(self.buffer), count))
        return self._take(count)

    def line(self):
        """The next line without its CRLF."""
        while CRLF not in self.buffer:
            if not self._fill():
                raise EOFError("EOF in a line, after %r" % bytes(self.buffer))
        return self._take(self.buffer.index(CRLF) + 2)[:-2]

    def rest(self):
        """All bytes until EOF (a reset counts as EOF)."""
        try:
            while self._fill():
                pass
        except ConnectionResetError:
            pass
        return self._take(len(self.buffer))

    def at_eof(self):
        """Waits for EOF; False if data comes instead."""
        if self.buffer:
            return False
        try:
            return not self._fill()
        except ConnectionResetError:
            return True

    def _fields(self):
        fields = []
        while True:
            line = self.line().decode("latin-1")
            if not line:
                return fields
            name, _, value = line.partition(":")
            fields.append((name, value.strip(" \t")))

    def head(self):
        """A head only: start line and header fields."""
        self._record = bytearray()
        message = Message()
        message.start = self.line()
        message.headers = self._fields()
        message.raw = bytes(self._record)
        self._record = None
        return message

    def message(self, is_response=False, to=b"GET"):
        """A whole message. `to` is the method that a response answers."""
        message = self.head()
        if is_response and (to == b"HEAD" or message.status < 200 or message.status in (204, 304) or
                            (to == b"CONNECT" and message.status < 300)):
            return message
        self._record = bytearray(message.raw)
        if "chunked" in (message.header("transfer-encoding") or ""):
            self._chunks(message)
        elif message.header("content-length") is not None:
            message.body = self.read(int(message.header("content-length")))
        elif is_response:
            message.body = self.rest()
        message.raw = bytes(self._record)
        self._record = None
        return message

    def _chunks(self, message):
        while True:
            size = int(self.line().split(b";")[0], 16)
            if size == 0:
                message.trailers = self._fields()
                return
            message.body += self.read(size)
            if self.line():
                raise ValueError("no CRLF after a chunk")
