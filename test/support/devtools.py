"""Drives a headless Chromium over the pipe of its DevTools protocol: enough to load pages and to answer its login dialogs."""
import json
import os
import select
import shutil
import subprocess
import time

from test.support.proxy import SLOW

# Debian's packages of the same names; the first is a third smaller and has no windows.
CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")


class Chromium:
    """A browser with one page. `login` is what it says to who asks for one: (user, password), or None to cancel."""

    def __init__(self, files, *arguments):
        self.login = None
        self.asked = []  # Where it was asked for a login: (who: "Proxy" or "Server", scheme, realm).
        self._buffer = b""
        self._id = 0
        self._events = []
        environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        # The protocol is spoken on the descriptors 3 and 4.
        self._process = subprocess.Popen(
            ["sh", "-c", 'exec "$@" 3<&0 4>&1 </dev/null >/dev/null', "sh", CHROMIUM, "--headless", "--no-sandbox",
             "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync", "--remote-debugging-pipe", "--user-data-dir=" + files,
             *arguments, "about:blank"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0, start_new_session=True,
            env={**environment, "HOME": files})
        self._session = None
        try:
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            self.call("Page.enable")
            self.call("Network.enable")
            self.call("Fetch.enable", handleAuthRequests=True)
        except BaseException:
            self.close()
            raise

    def close(self):
        """Ends it; its helpers end when it does."""
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    def call(self, method, **parameters):
        """Calls a method of the protocol and returns its result."""
        number = self._send(method, parameters)
        return self._wait(lambda message: message.get("id") == number, method)["result"]

    def load(self, url):
        """Loads a page, logging in where it must, and returns (status of the answer or None, text of the page)."""
        self._events.clear()
        frame = self.call("Page.navigate", url=url)["frameId"]
        self._wait(lambda message: message.get("method") == "Page.loadEventFired", url)
        statuses = [message["params"]["response"]["status"] for message in self._events
                    if message["method"] == "Network.responseReceived" and message["params"].get("frameId") == frame and
                    message["params"]["type"] == "Document"]
        text = self.call("Runtime.evaluate", expression="document.body.innerText")["result"].get("value")
        return statuses[-1] if statuses else None, text

    def _send(self, method, parameters):
        self._id += 1
        message = {"id": self._id, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._process.stdin.write(json.dumps(message).encode() + b"\0")
        return self._id

    def _wait(self, wanted, what):
        """Serves what the browser asks until a message that is wanted comes."""
        deadline = time.monotonic() + 60 * SLOW
        while True:
            message = self._message(deadline, what)
            if "error" in message:
                raise AssertionError("chromium: %s: %r" % (what, message["error"]))
            if "method" in message:
                self._events.append(message)
                self._serve(message["method"], message["params"])
            if wanted(message):
                return message

    def _serve(self, method, parameters):
        if method == "Fetch.requestPaused":
            self._send("Fetch.continueRequest", {"requestId": parameters["requestId"]})
        elif method == "Fetch.authRequired":
            challenge = parameters["authChallenge"]
            self.asked.append((challenge["source"], challenge["scheme"], challenge["realm"]))
            answer = {"response": "CancelAuth"}
            if self.login:
                answer = {"response": "ProvideCredentials", "username": self.login[0], "password": self.login[1]}
                # Once: asked again, the password was wrong.
                self.login = None
            self._send("Fetch.continueWithAuth", {"requestId": parameters["requestId"], "authChallengeResponse": answer})

    def _message(self, deadline, what):
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._process.stdout], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise AssertionError("chromium: no answer to " + what)
            data = self._process.stdout.read(1 << 16)
            if not data:
                raise AssertionError("chromium ended at " + what)
            self._buffer += data
        text, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(text)
