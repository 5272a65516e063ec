"""A real browser with a telephone's screen, for tests."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from urllib.parse import urlsplit

import uvicorn

PATIENCE = 60
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--remote-debugging-pipe")
# Chromium reads from descriptor 3 and writes to 4; both are moved out of the way first.
BECOME = """import os, sys
ends = [os.dup(int(each)) for each in sys.argv[1:3]]
ends = [os.dup(each) if each < 5 else each for each in ends]
for end, place in zip(ends, (3, 4)):
    os.dup2(end, place)
os.execv(sys.argv[3], sys.argv[3:])"""


REACHED = """JSON.stringify([...document.querySelectorAll("a,button,input,select")].filter(each => each.checkVisibility()).map(each => {
  const box = each.getBoundingClientRect(); return [box.left >= 0 && box.right <= innerWidth, box.height] }))"""


class Chromium:
    """One tab of 375 by 800, spoken to by the DevTools protocol over two pipes."""

    def __init__(self, profile):
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        command = [
            sys.executable,
            "-c",
            BECOME,
            str(theirs_in),
            str(theirs_out),
            BROWSER,
            *FLAGS,
            f"--user-data-dir={profile}",
            "about:blank",
        ]
        self._process = subprocess.Popen(
            command, pass_fds=(theirs_in, theirs_out), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._number, self._read, self._session = 0, b"", {}
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = {"sessionId": self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}
        self.call("Page.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=375, height=800, deviceScaleFactor=1, mobile=True)

    def call(self, method, **params):
        self._number += 1
        message = {"id": self._number, "method": method, "params": params} | self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            pass  # an event
        assert "error" not in answer or "navigated" in answer["error"]["message"], answer
        return answer.get("result", {"result": {}})

    def _next(self):
        while b"\0" not in self._read:
            more = os.read(self._in, 65536)
            assert more, "Chromium has ended"
            self._read += more
        message, _, self._read = self._read.partition(b"\0")
        return json.loads(message)

    def ask(self, expression):
        """Return the value of *expression* in the page; None if the page went away meanwhile, as after a click on a link."""
        return self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)["result"].get("value")

    def go(self, url, *, ends):
        """Open *url* and wait until the page under the path *ends* is there."""
        self.call("Page.navigate", url=url)
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if self.ask("document.readyState") == "complete" and urlsplit(self.ask("location.href")).path == ends:
                return
            time.sleep(0.05)
        raise AssertionError(self.ask("location.href"))

    def until(self, expression):
        """Wait until *expression* holds in the page."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if self.ask(expression):
                return
            time.sleep(0.05)
        raise AssertionError(self.ask("document.body.innerText"))

    def choose(self, selector, path):
        """Choose the file *path* in the first control of *selector* that is in the form that is shown."""
        found = self.call("Runtime.evaluate", expression=f'document.querySelector("form:not([hidden]) {selector}")')["result"]["objectId"]
        self.call("DOM.setFileInputFiles", files=[str(path)], objectId=found)

    def close(self):
        self._process.terminate()
        self._process.wait(PATIENCE)
        os.close(self._in)
        os.close(self._out)


def fits(chromium):
    """Every control is within the screen, and a finger reaches it."""
    assert chromium.ask("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"
    reached = json.loads(chromium.ask(REACHED))
    assert all(inside and height >= 44 for inside, height in reached), reached


def listen():
    """Return a socket that listens on this computer, and the URL that it has."""
    listening = socket.create_server(("127.0.0.1", 0))
    return listening, f"http://localhost:{listening.getsockname()[1]}"


@contextmanager
def serving(app, listening):
    """Serve an application in a thread, as long as the block runs."""
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    yield
    server.should_exit = True
    thread.join()
    listening.close()
