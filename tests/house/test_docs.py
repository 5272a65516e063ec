"""The pages are true: their Python runs, and their links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("adapters/*/*.md")])

BLOCK = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} (?P<text>.+)$", re.MULTILINE)

# One namespace for the whole page, as a reader would type it; `await` may stand at the top.
RUNNER = """
import ast, asyncio, inspect, sys
page, source = sys.argv[1], sys.stdin.read()
done = eval(compile(source, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), {"__name__": "__main__"})
if inspect.iscoroutine(done):
    asyncio.run(done)
"""

over_pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def _python(page: Path) -> str:
    """The page's Python blocks, each on the lines where it stands; ```` ```python no-run ```` is only read by people."""
    text = page.read_text(encoding="utf-8")
    lines = [""] * text.count("\n")
    for block in BLOCK.finditer(text):
        if block["info"].strip() == "python":
            first = text.count("\n", 0, block.start("code"))
            for offset, line in enumerate(block["code"].splitlines()):
                lines[first + offset] = line
    return "\n".join(lines)


def _anchors(text: str) -> set[str]:
    headings = (match["text"].lower() for match in HEADING.finditer(BLOCK.sub("", text)))
    return {re.sub(r"[^\w\- ]", "", heading).strip().replace(" ", "-") for heading in headings}


@pytest.mark.requirement("TST-15")
@over_pages
def test_the_python_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    source = _python(page)
    if not source.strip():
        return
    command = [sys.executable, "-W", "error", "-c", RUNNER, str(page)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # what this test can import, the page can
    done = subprocess.run(command, input=source, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300)
    if re.search(r"needs the extra|No module named '(?:anthropic|githubkit|kubernetes|kubernetes_asyncio|mcp|openai)'", done.stderr):
        pytest.skip("the page's client is not in this session; `nox -s howto` runs the page")
    assert done.returncode == 0, done.stderr


@over_pages
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    broken = []
    for match in LINK.finditer(text):
        path, _, anchor = match["target"].partition("#")
        if re.match(r"[a-z]+:", path):
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in _anchors(target.read_text(encoding="utf-8"))):
            broken.append(match["target"])
    assert broken == []


@pytest.mark.parametrize(
    "page", [page for page in PAGES if "decisions" not in page.parts], ids=lambda page: page.relative_to(ROOT).as_posix()
)
def test_a_page_opens_with_its_title(page: Path) -> None:
    assert page.read_text(encoding="utf-8").startswith("# ")
