"""tcp_proxy.tunneling_config: what goes through a parent proxy, by CONNECT and by POST."""
import json
import re
import threading
import unittest

from test.support import config
from test.support.proxy import IS_ENVOY, ProxyTest
from test.support.wait import wait_for

MIB = 1 << 20
UUID = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
LOG = {"flags": "%RESPONSE_FLAGS%", "failure": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
       "start": "%START_TIME(%s.%6f)%", "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
       "headers": "%FILTER_STATE(envoy.tcp_proxy.propagate_response_headers)%",
       "plain": "%FILTER_STATE(envoy.tcp_proxy.propagate_response_headers:PLAIN)%",
       "trailers": "%FILTER_STATE(envoy.tcp_proxy.propagate_response_trailers)%",
       "metadata": "%DYNAMIC_METADATA(envoy.filters.network.tcp_proxy)%"}


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


class ParentProxyTest(ProxyTest):
    def through(self, serve, **tunneling):
        """A client whose connection goes through the parent that `serve` plays."""
        attempts = tunneling.pop("attempts", 1)
        self.parent = self.raw_origin(serve)
        log = [config.file_log(self.log_path, log_format={"json_format": LOG})]
        self.start(config.bootstrap(
            config.listener(config.tcp("parent", access_log=log, max_connect_attempts=attempts,
                                       tunneling_config={"hostname": "target.t:443", **tunneling})),
            [config.cluster("parent", self.parent.port, http_protocol_options={"enable_trailers": True})]))
        return self.client()


class Post(ParentProxyTest):
    """use_post: the bytes are bodies."""

    @unittest.skipIf(IS_ENVOY, "Envoy cuts the upload")
    def test_both_ways_at_once(self):
        up, down = bytes(range(256)) * (MIB // 64), bytes(range(255, -1, -1)) * (MIB // 64)
        seen = []

        def serve(wire):
            head = wire.head()
            wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            sender = threading.Thread(target=lambda: (
                [wire.send(chunk(down[i:i + 70000])) for i in range(0, len(down), 70000)], wire.send("0\r\n\r\n")))
            sender.start()
            wire._chunks(head)  # pylint: disable=protected-access
            seen.append(head)
            sender.join()
        client = self.through(serve, use_post=True, post_path="/p")
        sender = threading.Thread(target=lambda: (client.send(up), client.finish()))
        sender.start()
        self.assertTrue(client.rest() == down, "the download differs")
        sender.join()
        wait_for(lambda: seen)
        self.assertTrue(seen[0].body == up, "the upload differs")
        self.assertEqual((b"POST /p HTTP/1.1", "target.t:443"), (seen[0].start, seen[0].header("host")))
        self.assertEqual("-", self.log()["flags"] or "-")
        self.proxy.wait_stat("cluster.parent.upstream_cx_active", 0)

    @unittest.skipIf(IS_ENVOY, "Envoy cuts the upload")
    def test_the_answer_ends_first(self):
        received = []

        def serve(wire):
            head = wire.head()
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbye")
            wire._chunks(head)  # pylint: disable=protected-access
            received.append(head.body)
        client = self.through(serve, use_post=True)
        self.assertEqual(b"bye", client.rest())
        client.send("still ")
        client.send("talking")
        client.finish()
        wait_for(lambda: received)
        self.assertEqual([b"still talking"], received)

    @unittest.skipIf(IS_ENVOY, "Envoy 1.40 does not survive it")
    def test_a_refusal_is_tried_again_and_nothing_is_lost(self):
        received = []

        def serve(wire):
            head = wire.head()
            if self.parent.connections == 1:
                wire.send("HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n")
                wire.rest()
                return
            wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            received.append(wire.line() + wire.read(5))
            wire.send(chunk(b"hi"), "0\r\n\r\n")
            wire.rest()
            del head
        client = self.through(serve, use_post=True, attempts=2)
        client.send("hello")
        self.assertEqual(b"hi", client.read(2))
        self.assertEqual([b"5hello"], received)
        self.assertEqual(2, self.parent.connections)

    def test_the_client_resets(self):
        ended = []

        def serve(wire):
            wire.head()
            wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunk(b"x"))
            ended.append(wire.rest())
        client = self.through(serve, use_post=True)
        self.assertEqual(b"x", client.read(1))
        client.send("some")
        client.reset()
        wait_for(lambda: ended)
        # An upload that broke off must not look like one that ended.
        self.assertNotIn(b"0\r\n\r\n", ended[0])
        self.proxy.wait_stat("cluster.parent.upstream_cx_active", 0)

    @unittest.skipIf(IS_ENVOY, "says it in other words")
    def test_a_path_without_post(self):
        with self.assertRaises(AssertionError) as caught:
            self.through(lambda wire: None, post_path="/x")
        self.assertIn("filters[0].typed_config.tunneling_config.post_path: "
                      "Can't set a post path when POST method isn't used", str(caught.exception))


class Answers(ParentProxyTest):
    """What the parent says, in the access log."""

    @unittest.skipIf(IS_ENVOY, "no line comes")
    def test_headers_and_trailers(self):
        def serve(wire):
            wire.head()
            wire.send("HTTP/1.1 200 OK\r\nX-One: \"1\"\r\nTransfer-Encoding: chunked\r\n\r\n", chunk(b"x"),
                      "0\r\nX-End: last\r\n\r\n")
            wire.rest()
        client = self.through(serve, use_post=True, propagate_response_headers=True,
                              propagate_response_trailers=True)
        self.assertEqual(b"x", client.read(1))
        client.finish()
        client.rest()
        entry = self.log()
        headers = entry["headers"]["headers"]
        self.assertEqual([{"key": ":status", "value": "200"}, {"key": "x-one", "value": '"1"'}], headers[:2])
        self.assertEqual(entry["headers"], json.loads(entry["plain"]))
        self.assertEqual({"headers": [{"key": "x-end", "value": "last"}]}, entry["trailers"])

    def test_a_refusal(self):
        def serve(wire):
            wire.head()
            wire.send("HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n")
            wire.rest()
        client = self.through(serve, propagate_response_headers=True, attempts=2)
        self.assertEqual(b"", client.rest())
        entry = self.log()
        self.assertEqual(["UF", "URX"], sorted(entry["flags"].split(",")))
        self.assertEqual((2, "tunnel_response:407"), (entry["attempts"], entry["failure"]))
        self.assertEqual([{"key": ":status", "value": "407"}, {"key": "proxy-authenticate", "value": "Basic"}],
                         entry["headers"]["headers"][:2])
        self.assertIsNone(entry["trailers"])

    def test_nothing_is_kept_unasked(self):
        client = self.through(lambda wire: (wire.head(), wire.send("HTTP/1.1 200 OK\r\nX-One: 1\r\n\r\nhi")))
        self.assertEqual(b"hi", client.rest())
        client.finish()
        entry = self.log()
        self.assertEqual((None, None, None), (entry["headers"], entry["trailers"], entry["metadata"]))


class RequestId(ParentProxyTest):
    EXTENSION = config.typed("x", "envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig")
    EXTENSION.pop("name")

    def ask_for(self, **tunneling):
        heads = []

        def serve(wire):
            heads.append(wire.head())
            wire.send("HTTP/1.1 200 OK\r\n\r\nhi")
        client = self.through(serve, **tunneling)
        self.assertEqual(b"hi", client.rest())
        client.finish()
        return heads[0], self.log()["metadata"]

    def test_default_names(self):
        head, metadata = self.ask_for(request_id_extension=self.EXTENSION)
        self.assertRegex(head.header("x-request-id"), "^" + UUID + "$")
        self.assertEqual({"tunnel_request_id": head.header("x-request-id")}, metadata)

    def test_own_names(self):
        head, metadata = self.ask_for(request_id_extension=self.EXTENSION, request_id_header="X-My-Id",
                                      request_id_metadata_key="k")
        self.assertTrue(re.match(UUID, head.header("x-my-id")))
        self.assertIsNone(head.header("x-request-id"))
        self.assertEqual({"k": head.header("x-my-id")}, metadata)

    def test_none(self):
        head, _ = self.ask_for()
        self.assertIsNone(head.header("x-request-id"))


if __name__ == "__main__":
    unittest.main()
