"""A browser without scripts, for the tests of pages."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import urlsplit


class Browser:
    """A browser without scripts: it keeps cookies, follows redirects of this site, and posts the forms of the page that it shows."""

    def __init__(self, client):
        self.client = client
        self.page = None

    async def open(self, path):
        self.page = await self.client.get(
            path, headers={"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin"}
        )
        return await self._follow()

    async def _follow(self):
        while self.page.has_redirect_location:
            self.page = await self.client.get(str(self.page.url.join(self.page.headers["location"])))
        return self.page

    def forms(self):
        found = re.findall(r"<form\b([^>]*)>(.*?)</form>", self.page.text, re.DOTALL)
        return {
            unescape(re.search(r'action="([^"]*)"', attributes)[1]): {
                name: unescape(value) for name, value in re.findall(r'<input\b[^>]*?name="([^"]+)"[^>]*?value="([^"]*)"', body)
            }
            for attributes, body in found
        }

    async def send(self, ends, /, *, headers=None, **fields):
        action, hidden = next((action, hidden) for action, hidden in self.forms().items() if urlsplit(action).path.endswith(ends))
        own = {"Origin": "https://app.example.com", "Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
        data = {name.replace("__", "."): value for name, value in (hidden | fields).items() if value is not None}
        self.page = await self.client.post(action, data=data, headers=own | (headers or {}))
        return await self._follow()

    def title(self):
        return unescape(re.sub(r"<[^>]+>", "", re.search(r"<h1[^>]*>(.*?)</h1>", self.page.text, re.DOTALL)[1]))

    def text(self):
        return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", self.page.text)))


def left_for(browser):
    """The address that the page goes on to by itself."""
    return unescape(re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', browser.page.text)[1])
