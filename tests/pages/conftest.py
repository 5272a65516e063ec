"""Chromium by Playwright, for the tests of the pages: `nox -s pages`."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Cookies of third parties are forbidden, as they are for ever more people.
FLAGS = ["--no-sandbox", "--test-third-party-cookie-phaseout"]

# Only the session `pages` installs it.
collect_ignore_glob = [] if find_spec("playwright") else ["*.py"]


def pytest_addoption(parser):
    parser.addoption("--screenshots", action="store_true", help="take the pictures of the documentation, in docs/images")


@pytest.fixture(scope="session")
def chromium():
    """One browser for all tests of a worker; each test has contexts of its own."""
    from playwright.sync_api import sync_playwright

    if PROGRAM is None or not (Path(__file__).parent / "node_modules").is_dir():
        if os.environ.get("CI"):
            pytest.fail("Chromium (Debian: chromium) or the packages of tests/pages (npm ci) are not installed", pytrace=False)
        pytest.skip("Chromium is not installed; on Debian: apt-get install chromium; then run nox -s pages")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def site():
    """An application with the pages, and a page that embeds them."""
    from .site import Site

    with Site() as site:
        yield site


@pytest.fixture
def visitor(chromium, site):
    """Give a function that opens a browser of its own at the site, and returns its first page."""
    from .site import SIGNED_IN, reachable

    contexts = []

    def open_one(*, signed_in=True, headers=None, **options):
        options.setdefault("viewport", {"width": 1440, "height": 900})
        context = chromium.new_context(ignore_https_errors=True, locale="en-GB", **options)
        contexts.append(context)
        if signed_in:
            context.add_cookies([{"name": SIGNED_IN, "value": "fake-session-of-ada", "url": site.url}])
        reachable(context, site, headers=headers)
        return context.new_page()

    yield open_one
    for context in contexts:
        context.close()
