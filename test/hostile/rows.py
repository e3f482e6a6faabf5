"""The frame of the hostile rows: what a row is, what it runs against, and how one attempt is made and judged.

A row is a function that gets a Row, makes attempts and reports what does not hold. Every attempt has an origin of its own, which keeps
exactly what it received, and is followed by an honest request: it must be served, and the origin must see nothing else.
"""
import contextlib
import os
import socket
import tempfile

from test.support import config
from test.support.client import Client
from test.support.dns_server import DnsServer
from test.support.origin import HttpOrigin, RawOrigin, ok
from test.support.proxy import Proxy

ROWS = {}

LAST = b"GET /last HTTP/1.1\r\nHost: {A}\r\nConnection: close\r\n\r\n"


class NotApplicable(Exception):
    """The row cannot be run against this target."""


def row(number, title):
    """Registers a row under its number of the list."""
    def register(function):
        assert number not in ROWS, number
        ROWS[number] = (title, function)
        return function
    return register


def echo(request):
    """An origin's answer that says which request it belongs to."""
    return ok(request.target.encode())


class Target:
    """The proxy under test: our own, started here in whatever configuration a row needs, or the one at `address`."""

    def __init__(self, address=None, origin_host="127.0.0.1"):
        self.address = address
        self.origin_host = origin_host
        self._stack = contextlib.ExitStack()
        self._open = None
        self._files = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stack.close()

    def keep(self, resource):
        """Closes `resource` at the end of the run."""
        self._stack.callback(resource.close)
        return resource

    def path(self, name):
        """A path for a file of this run."""
        if self._files is None:
            self._files = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="sluice.hostile."))
        return os.path.join(self._files, name)

    def start(self, content, **keywords):
        """A proxy of our own with the bootstrap `content`."""
        if self.address is not None:
            raise NotApplicable("needs a configuration of its own")
        files = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="sluice.hostile."))
        proxy = Proxy(content, files=files, **keywords)
        self._stack.callback(proxy.stop)
        return proxy

    def names(self, zone):
        server = DnsServer(zone)
        self._stack.callback(server.stop)
        return server

    def client(self, timeout=10.0):
        """A connection to a forward proxy that dials our origins."""
        if self.address is not None:
            host, _, port = self.address.rpartition(":")
            return Client(int(port), timeout, host.strip("[]"))
        if self._open is None:
            routes = [config.connect(), config.forward(action={"timeout": "3s"})]
            limits = config.breakers(max_connections=20000, max_pending_requests=20000, max_requests=20000)
            self._open = self.start(config.forward_proxy(None, routes=routes, use_remote_address=True, cluster_fields=limits))
        return Client(self._open.port(), timeout)

    @property
    def patience(self):
        """Seconds after which the proxy must have given up on a silent origin."""
        return 6 if self.address is None else 20

    def check(self):
        """Raises unless the proxy reaches an origin of ours: NotApplicable where the proxy is not ours."""
        unreachable = AssertionError if self.address is None else NotApplicable
        origin = HttpOrigin(ok(b"here"), address=self.listen_address)
        try:
            with self.client() as client:
                answer = client.ask("GET", "/", self.authority(origin))
        except (OSError, EOFError, ValueError) as error:
            raise unreachable("no answer: %s" % error) from None
        finally:
            origin.close()
        if answer.status != 200:
            raise unreachable("the proxy answers %d for an origin on %s: let it dial there, or give --origin-host" %
                              (answer.status, self.origin_host))

    @property
    def listen_address(self):
        return "127.0.0.1" if self.origin_host == "127.0.0.1" else "0.0.0.0"

    def authority(self, origin):
        return "%s:%d" % (self.origin_host, origin.port)


class Outcome:
    """What the client got and what the origin got."""

    def __init__(self):
        self.answers = []
        self.closed = False
        self.garbage = b""
        self.requests = []
        self.malformed = False
        self.honest = True

    @property
    def statuses(self):
        return [answer.status for answer in self.answers]

    @property
    def targets(self):
        return [request.target for request in self.requests]

    def __repr__(self):
        return "client %s%s%s, origin %s%s" % (self.statuses, " closed" if self.closed else " open",
                                               " and %r" % self.garbage[:60] if self.garbage else "",
                                               [request.start.decode("latin-1")[:80] for request in self.requests],
                                               (" and what is not HTTP" if self.malformed else "") + ("" if self.honest else ", and an honest request failed afterwards"))


def refused(*statuses, requests=()):
    """The last answer is one of `statuses` (400), the connection is closed, the origin got only `requests`."""
    statuses = statuses or (400,)

    def judge(outcome):
        return (len(outcome.statuses) == len(requests) + 1 and outcome.statuses[-1] in statuses and outcome.closed and
                outcome.targets == list(requests))
    return judge


def passed(*targets, test=None):
    """The origin got exactly these, each was answered by its own 200; `test` looks at the first request."""
    def judge(outcome):
        final = [answer for answer in outcome.answers if answer.status >= 200]
        return (outcome.targets == list(targets) and [answer.status for answer in final] == [200] * len(targets) and
                [answer.text() for answer in final] == list(targets) and
                (test is None or test(outcome.requests[0])))
    return judge


def dropped(outcome):
    """No answer but the end of the connection, nothing complete at the origin."""
    return not outcome.targets and outcome.closed and all(status >= 400 for status in outcome.statuses)


class Row:
    """One run of a row."""

    def __init__(self, target):
        self.target = target
        self.problems = []
        self.cases = 0

    def check(self, good, what):
        self.cases += 1
        if not good:
            self.problems.append(what)

    def attempt(self, data, answer=echo, finish=False, wait=3.0):
        """Sends `data` ({A} is the origin's authority) on a connection of its own and reads all that comes."""
        outcome = Outcome()
        origin = HttpOrigin(answer, address=self.target.listen_address)
        authority = self.target.authority(origin).encode()
        try:
            with self.target.client(wait) as client:
                try:
                    client.send(data.replace(b"{A}", authority))
                    if finish:
                        client.finish()
                except OSError:
                    pass
                self._collect(client, outcome)
            with self.target.client() as client:
                reply = client.ask("GET", "/honest", authority.decode())
                outcome.honest = (reply.status, reply.text()) == (200, "/honest")
            outcome.malformed = any(isinstance(error, (ValueError, IndexError)) for error in origin.errors)
            outcome.requests = [request for request in origin.requests if request.target != "/honest"]
        finally:
            origin.close()
        return outcome

    @staticmethod
    def _collect(client, outcome):
        try:
            while client.buffer or not client.at_eof():
                outcome.answers.append(client.response())
            outcome.closed = True
        except socket.timeout:
            outcome.garbage = client.buffer
        except (EOFError, OSError):
            outcome.garbage, outcome.closed = client.buffer, True
        except (ValueError, IndexError):
            outcome.garbage = client.raw + client.buffer

    def case(self, label, data, *judges, **keywords):
        """Holds if one of `judges` likes the outcome."""
        outcome = self.attempt(data, **keywords)
        self.check(outcome.honest and not outcome.malformed and any(judge(outcome) for judge in judges), "%s: %r" % (label, outcome))
        return outcome

    def answered(self, label, serve, judge, method="GET", body=None, again=True, wait=None):
        """An origin plays `serve(wire)` on every connection; `judge(outcome)` looks at what the client got."""
        outcome = Outcome()
        outcome.connections = 0
        origin = RawOrigin(serve, address=self.target.listen_address)
        try:
            with self.target.client(wait or self.target.patience) as client:
                client.request(method, "/", self.target.authority(origin), [("Connection", "close")], body)
                try:
                    while client.buffer or not client.at_eof():
                        outcome.answers.append(client.response(method))
                    outcome.closed = True
                except socket.timeout:
                    outcome.garbage = client.buffer
                except (EOFError, OSError):
                    outcome.garbage, outcome.closed = client.buffer, True
                except (ValueError, IndexError):
                    outcome.garbage = client.raw + client.buffer
            outcome.connections = origin.connections
        finally:
            origin.close()
        if again:
            self.target.check()
        self.check(judge(outcome), "%s: %r" % (label, outcome))
        return outcome


def run(number, target):
    """Runs a row. Returns (state, text): "holds", "falls short" or "not applicable"."""
    _, function = ROWS[number]
    current = Row(target)
    try:
        function(current)
    except NotApplicable as reason:
        if not current.cases:
            return "not applicable", str(reason)
    except (AssertionError, OSError, EOFError, ValueError, IndexError) as error:
        # An honest request that is not answered, a condition that does not come.
        current.check(False, "%s: %s" % (type(error).__name__, error))
    if not current.cases:
        return "not applicable", "no case"
    if current.problems:
        return "falls short", "; ".join(current.problems)
    return "holds", "%d cases" % current.cases
