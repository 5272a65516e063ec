"""Show which test proves which requirement: `requirements.py REPORT...` (the files that `--requirements-report` wrote)."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter, defaultdict
from pathlib import Path

COUNTS = {"ENC": 20, "OAU": 85, "REF": 17, "AUD": 13, "TST": 17, "ISO": 20, "SUP": 8}
IDS = tuple(f"{room}-{number:0{3 if room == 'OAU' else 2}}" for room, count in COUNTS.items() for number in range(1, count + 1))

ORDER = ("skipped", "passed", "failed")  # one run that passed proves more than another that was skipped
COLOURS = {"passed": 32, "skipped": 33, "failed": 31, "no test": 31}


def main(reports: list[str]) -> int:
    """Print the table, the totals and every test that failed; return 1 when one did or names an id that does not exist."""
    results: dict[str, dict[str, str]] = defaultdict(dict)
    failures: list[str] = []
    for report in reports:
        for test, facts in json.loads(Path(report).read_text(encoding="utf-8")).items():
            if facts["result"] == "failed":
                failures.append(f"FAILED in {Path(report).stem}: {test}: {facts['reason']}")
            for name in facts["requirements"]:
                results[name][test] = max(results[name].get(test, "skipped"), facts["result"], key=ORDER.index)

    totals: Counter[str] = Counter()
    for name in IDS:
        tests = results.pop(name, {})
        result = max(tests.values(), key=ORDER.index) if tests else "no test"
        totals[result] += 1
        print(f"{name:8} {_coloured(result)}")
        for test in sorted(tests):
            print(f"           {tests[test]:8} {test}")
    print(f"\n{len(IDS)} requirements: " + ", ".join(f"{totals[result]} {result}" for result in COLOURS))

    for unknown, tests in sorted(results.items()):
        print(f"{unknown} is no requirement; named by {', '.join(sorted(tests))}")
    print(*failures, sep="\n", end="\n" if failures else "")
    return int(bool(failures or results))


def _coloured(result: str) -> str:
    if not sys.stdout.isatty() and "FORCE_COLOR" not in os.environ:
        return result
    return f"\x1b[{COLOURS[result]}m{result}\x1b[0m"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
