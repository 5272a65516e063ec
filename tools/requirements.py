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
"""What differs between real providers.  Only those that a test names are shown."""
KNOWN = frozenset({*IDS, *QUIRKS})
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
    _show([name for name in QUIRKS if name in results], results, what="quirks of providers")
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
        for test in sorted(tests):
            print(f"           {tests[test]:8} {test}")
    print(f"\n{len(names)} {what}: " + ", ".join(f"{totals[result]} {result}" for result in COLOURS) + "\n")


def _coloured(result: str) -> str:
    if not sys.stdout.isatty() and "FORCE_COLOR" not in os.environ:
        return result
    return f"\x1b[{COLOURS[result]}m{result}\x1b[0m"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
