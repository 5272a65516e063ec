"""Show which test proves which requirement: `requirements.py REPORT...` (the files that `--requirements-report` wrote)."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

COUNTS = {"ENC": 20, "OAU": 85, "REF": 17, "AUD": 13, "TST": 17, "ISO": 20, "SUP": 8}
IDS = tuple(f"{room}-{number:0{3 if room == 'OAU' else 2}}" for room, count in COUNTS.items() for number in range(1, count + 1))
QUIRKS = tuple(f"Q{number:02}" for number in range(1, 77))
"""What differs between real providers."""
BUGS = {
    "B01": "a state that is not bound to the session that began",
    "B02": "a code of one provider or tenant that is taken for another's",
    "B03": "an open redirect in a flow of OAuth",
    "B04": "an algorithm or a key that a token's own header names",
    "B05": "an answer or a token without a limit of its size",
    "B06": "a request to an internal address that a document or a name led to",
    "B07": "a credential that goes along with a redirect",
    "B08": "the operator's secret that is sent to an address of the caller's choice",
    "B09": "an id that reaches another tenant's credential",
    "B10": "a value of a tenant that is read as a template",
    "B11": "a secret that an API or a page shows",
    "B12": "a secret in the log of a client library",
    "B13": "a secret in the audit log",
    "B14": "a route that asks nobody",
    "B15": "a working grant that is marked as broken, or a rotated token that is lost",
    "B16": "a lock that somebody releases who does not hold it any more",
    "B17": "a final refusal that hides behind an error that passes",
    "B18": "credentials that are lost because a key was made anew",
    "B19": "a parser that one request keeps busy",
    "B20": "a stolen release of a dependency",
    "B21": "a value that is stored or read unsealed, and a key that cannot be replaced",
}
"""Classes of bugs that others had."""
LIMITS = {
    "Q28": "a method asks for one token of the two and keeps that; the other one is another method, and another integration",
    "Q45": "a token that works is never spent for another one; a reconnect brings one that is renewed",
}
"""What a test of a quirk does not show, because the library does not do it."""
KNOWN = frozenset({*IDS, *QUIRKS, *BUGS})
"""What the marker `requirement` may name; the collection of the tests refuses everything else."""

ORDER = ("skipped", "passed", "failed")  # one run that passed proves more than another that was skipped
COLOURS = {"passed": 32, "skipped": 33, "failed": 31, "no test": 31}


def main(reports: list[str]) -> int:
    """Print the table, the totals and every test that failed; return 1 when one did."""
    results: dict[str, dict[str, str]] = defaultdict(dict)
    failures: list[str] = []
    for report in reports:
        for test, facts in json.loads(Path(report).read_text(encoding="utf-8")).items():
            if facts["result"] == "failed":
                failures.append(f"FAILED in {Path(report).stem}: {test}: {facts['reason']}")
            for name in facts["requirements"]:
                results[name][test] = max(results[name].get(test, "skipped"), facts["result"], key=ORDER.index)

    _show(IDS, results, what="requirements")
    _show(QUIRKS, results, what="quirks of providers")
    _show(tuple(BUGS), results, what="classes of bugs")
    print(*failures, sep="\n", end="\n" if failures else "")
    return int(bool(failures))


def _show(names: Sequence[str], results: Mapping[str, Mapping[str, str]], *, what: str) -> None:
    """Print which tests prove each of *names*, and the totals."""
    totals: Counter[str] = Counter()
    for name in names:
        tests = results.get(name, {})
        result = max(tests.values(), key=ORDER.index) if tests else "no test"
        totals[result] += 1
        print(f"{name:8} {_coloured(result)}")
        if name in LIMITS:
            print(f"           but: {LIMITS[name]}")
        for test in sorted(tests):
            print(f"           {tests[test]:8} {test}")
    print(f"\n{len(names)} {what}: " + ", ".join(f"{totals[result]} {result}" for result in COLOURS) + "\n")


def _coloured(result: str) -> str:
    if not sys.stdout.isatty() and "FORCE_COLOR" not in os.environ:
        return result
    return f"\x1b[{COLOURS[result]}m{result}\x1b[0m"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
