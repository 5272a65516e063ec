"""Do what the how-to pages say, as a reader would: `howto.py [page …]`.

Each line `pip install …` of a page begins a new virtual environment, with what the line names and nothing else, in the versions of
`requirements/examples.txt`.  What follows up to the next such line then runs there, in an empty folder beside `examples/`: the Python
blocks as one program, and the blocks marked `console run` as commands.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGES = (*sorted((ROOT / "docs/tutorial").glob("*.md")), *sorted((ROOT / "docs/how-to").glob("*.md")))

BLOCK = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
INSTALL = re.compile(r"^(?:\$ )?(?:.*/)?pip install (?P<what>[^#\n]+)", re.MULTILINE)
LIMIT = 300
"""Seconds after which a program has hung."""

# One namespace for all blocks, as a reader would type them; `await` may stand at the top.
RUNNER = """
import ast, asyncio, inspect, pathlib, sys
page = sys.argv[1]
source = pathlib.Path(page).read_text(encoding="utf-8")
done = eval(compile(source, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), {"__name__": "__main__"})
if inspect.iscoroutine(done):
    asyncio.run(done)
"""


class Part(NamedTuple):
    """A line that installs, and what is to be run after it."""

    page: Path
    install: tuple[str, ...]
    python: list[str]
    commands: list[str]

    @property
    def program(self) -> str:
        """The file that the Python blocks are saved in."""
        return f"{self.page.stem.replace('-', '_')}.py"


def parts(page: Path) -> Iterator[Part]:
    """Read a page; raises `ValueError` for a program that stands before the first line that installs."""
    part: Part | None = None
    for block in BLOCK.finditer(page.read_text(encoding="utf-8")):
        info, code = block["info"].strip(), block["code"]
        if info == "console" and (installs := INSTALL.search(code)):
            if part is not None:
                yield part
            part = Part(page=page, install=tuple(shlex.split(installs["what"])), python=[], commands=[])
        elif info in {"python", "console run"}:
            if part is None:
                raise ValueError(f"{page.name}: a program stands before the line that installs what it needs")
            (part.python if info == "python" else part.commands).append(code)
    if part is not None:
        yield part


def main(*names: str) -> int:
    """Return the number of parts that failed."""
    found = [part for page in ([Path(name) for name in names] or PAGES) for part in parts(page)]
    with ThreadPoolExecutor(max_workers=2) as pool:
        return sum(pool.map(_failed, found))


def _failed(part: Part) -> bool:
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        try:
            said = _done(part, Path(temporary))
        except subprocess.CalledProcessError as error:
            said = f"failed: {shlex.join(map(str, error.cmd))}\n{error.stdout}"
        except subprocess.TimeoutExpired as error:
            said = f"failed: {shlex.join(map(str, error.cmd))} did not end within {LIMIT} s\n{error.stdout}"
    print(f"{part.page.name}: pip install {shlex.join(part.install)}: {said} ({time.monotonic() - began:.0f} s)", flush=True)
    return said.startswith("failed")


def _done(part: Part, folder: Path) -> str:
    environment, work = folder / "environment", folder / "work"
    uv = (sys.executable, "-m", "uv")
    _run(*uv, "venv", "--quiet", "--python", sys.executable, str(environment), where=ROOT)
    python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    _run(*uv, "pip", "install", "--quiet", "--python", str(python), "-c", "requirements/examples.txt", *part.install, where=ROOT)
    work.mkdir()
    (work / "examples").symlink_to(ROOT / "examples")
    if part.python:
        (work / part.program).write_text("\n".join(part.python), encoding="utf-8")
        _run(str(python), "-W", "error", "-c", RUNNER, part.program, where=work)
    for commands in part.commands:
        _run("sh", "-ec", re.sub(r"^\$ ", "", commands, flags=re.MULTILINE), where=work, first_on_path=python.parent)
    return f"{len(part.python)} blocks of Python and {len(part.commands)} of commands ran"


def _run(*command: str, where: Path, first_on_path: Path | None = None) -> None:
    # Nothing of the environment of whoever runs this is inherited but the way to programs and to the package index.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV", "CLOUD_INTEGRATIONS", "NOX"))}
    env |= {"HOME": str(where)} if first_on_path else {}
    env |= {"PATH": os.pathsep.join([str(first_on_path), env["PATH"]])} if first_on_path else {}
    subprocess.run(
        command,
        cwd=where,
        env=env,
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT,
    )


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
