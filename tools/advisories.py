"""Ask OSV for known weaknesses of every locked version: `advisories.py [LOCK...]`.

Returns 1 where a version has one, whether or not there is a better version; 3 where the service does not answer, which is no success.
What is not to be repaired stands in `ACCEPTED`, with its reason.  A scanner of our own, because one that is installed for it is a
dependency like any other, and runs beside whatever it looks at.  Source: https://google.github.io/osv.dev/post-v1-querybatch/.
"""

from __future__ import annotations

import json
import os
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

ROOT = Path(__file__).parents[1]
SERVICE: Final = "https://api.osv.dev"
ACCEPTED: Mapping[str, str] = {}
"""Id of an advisory → why its weakness cannot be reached here."""
NOT_ASKED: Final = 3
OLDEST: Final = "lowest"
"""The lock of the oldest versions that we declare: what they lack is for who still has them."""

_PIN: Final = re.compile(r"^([\w.-]+)(?:\[[\w, -]+\])?==(\S+)", re.MULTILINE)
_AT_ONCE: Final = 500
_SECONDS: Final = 60


def main(locks: Sequence[str], *, service: str = SERVICE, accepted: Mapping[str, str] = ACCEPTED) -> int:
    """Print each advisory with the version that it is about."""
    files = [Path(lock) for lock in locks] or [path for path in sorted((ROOT / "requirements").glob("*.txt")) if path.stem != OLDEST]
    pins = sorted({pin for file in files for pin in _PIN.findall(file.read_text(encoding="utf-8"))})
    if not pins:
        print("no version is locked there", file=sys.stderr)
        return 1
    try:
        found = [advice for start in range(0, len(pins), _AT_ONCE) for advice in _ask(service, pins[start : start + _AT_ONCE])]
    except (urllib.error.URLError, TimeoutError, ValueError, KeyError, TypeError) as error:
        print(f"{len(pins)} versions were not checked: {service} gives no answer ({type(error).__name__})", file=sys.stderr)
        return NOT_ASKED
    open_ = 0
    for name, version, advisory in found:
        reason = accepted.get(advisory)
        open_ += reason is None
        print(f"{name} {version}: {advisory}" + ("" if reason is None else f" (accepted: {reason})"))
    print(f"{len(pins)} versions, {open_} to be replaced")
    return int(open_ > 0)


def _ask(service: str, pins: Sequence[tuple[str, str]], /) -> list[tuple[str, str, str]]:
    """Return name, version and advisory of everything that is known; read every page of the answer."""
    asked: list[dict[str, Any]] = [{"package": {"name": name, "ecosystem": "PyPI"}, "version": version} for name, version in pins]
    found: list[tuple[str, str, str]] = []
    for _ in range(100):
        results = _post(f"{service}/v1/querybatch", {"queries": asked})["results"]
        if len(results) != len(asked):
            raise ValueError("an answer for each question")
        more = []
        for question, result in zip(asked, results, strict=True):
            known = result.get("vulns", [])
            found += [(question["package"]["name"], question["version"], each["id"]) for each in known]
            if token := result.get("next_page_token"):
                more.append({**question, "page_token": token})
        if not more:
            return found
        asked = more
    raise ValueError("an answer that ends")


def _post(url: str, body: Any, /) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310  # ours
    with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310  # ours
        return json.load(answer)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], service=os.environ.get("CI_OSV", SERVICE)))
