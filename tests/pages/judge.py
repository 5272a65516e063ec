"""What is true of every screen: no error, nothing from elsewhere, nothing cut off, nothing that keeps somebody out."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from urllib.parse import urlsplit

AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
MOST_BYTES = 120 * 1024
HEIGHT = 900
VIOLATIONS = (
    """addEventListener("securitypolicyviolation", event => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`))"""
)
STICKS_OUT = """() => {
  const out = [...document.querySelectorAll("body *")].filter(each => {
    if (each.closest(".hidden, .skip, pre") || !each.checkVisibility()) return false;
    const box = each.getBoundingClientRect();
    return box.width > 0 && (box.right > innerWidth + 1 || box.left < -1);
  });
  return document.documentElement.scrollWidth > innerWidth ? ["the page scrolls sideways", ...out.map(each => each.outerHTML.slice(0, 120))]
    : out.map(each => each.outerHTML.slice(0, 120));
}"""
TOO_SMALL = """() => [...document.querySelectorAll("a.button, button, input, select, textarea, summary")].filter(each => {
  if (!each.checkVisibility()) return false;
  const box = each.getBoundingClientRect();
  return Math.min(box.width, box.height) < 20;
}).map(each => each.outerHTML.slice(0, 120))"""
AUDIT = """async () => {
  const found = await axe.run(document, {resultTypes: ["violations"]});
  return found.violations.filter(each => ["serious", "critical"].includes(each.impact))
    .map(each => `${each.id}: ${each.nodes.map(node => node.target.join(" ") + " " + (node.any[0]?.message ?? "")).join("; ")}`);
}"""


class Judge:
    """Watches a page from its first request on."""

    def __init__(self, page, site):
        self.page = page
        self.site = site
        self.complaints = []
        self.loaded = {}
        self.asked = []
        page.context.add_init_script(VIOLATIONS)
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        # A person who goes on to a provider leaves the page.
        page.on("request", lambda request: None if request.is_navigation_request() else self.asked.append(request.url))
        page.on("response", self._weigh)

    def _hear(self, message):
        # Chromium writes down each answer that is an error; whether it should be one is what the test of the screen says.
        if message.type in {"error", "warning"} and not message.text.startswith("Failed to load resource"):
            self.complaints.append(message.text)

    def _weigh(self, response):
        if response.ok and response.request.resource_type in {"document", "script", "stylesheet", "image"}:
            self.loaded[response.url] = len(response.body())

    def check(self, frame):
        """Judge the screen that is shown in the page, or in a frame of it, in every size and both themes."""
        page = self.page
        assert frame.title()
        for width, scheme in product((1440, 360), ("light", "dark")):
            page.set_viewport_size({"width": width, "height": HEIGHT})
            page.emulate_media(color_scheme=scheme)
            frame.evaluate(AXE.read_text(encoding="utf-8"))
            for question in (STICKS_OUT, TOO_SMALL, AUDIT):
                _no(frame.evaluate(question), width, scheme)
        self._enlarge(frame)
        self.check_quiet()
        ours = {urlsplit(self.site.url).netloc, urlsplit(self.site.host).netloc}
        assert {urlsplit(url).netloc for url in self.asked} <= ours
        assert sum(self.loaded.values()) <= MOST_BYTES

    def check_quiet(self):
        """Judge what was said so far."""
        _no(self.complaints)

    def _enlarge(self, frame):
        """Judge the page at 200 % in a window of 1,280: half as wide, and by the text alone."""
        self.page.set_viewport_size({"width": 640, "height": HEIGHT // 2})
        _no(frame.evaluate(STICKS_OUT), "200 %")
        frame.evaluate("document.documentElement.style.fontSize = '200%'")
        _no(frame.evaluate(STICKS_OUT), "text at 200 %")
        frame.evaluate("document.documentElement.style.fontSize = ''")


def _no(found, *where):
    assert not found, (*where, found)
