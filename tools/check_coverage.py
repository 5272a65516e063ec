"""Hold the files that guard secrets and tokens at full branch coverage: `check_coverage.py coverage.json`."""

from __future__ import annotations

import json
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path


def main(report: str) -> int:
    """Print each file below 100 %, and each pattern that names no file, and return how many there were."""
    patterns = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["tool"]["cloud_integrations"]["full_coverage"]["files"]
    measured = json.loads(Path(report).read_text(encoding="utf-8"))["files"]
    problems = 0
    for pattern in patterns:
        files = [name for name in measured if fnmatch(name, pattern)]
        if not files:  # a renamed file must not leave the bar unseen
            print(f"{pattern}: no such file was measured")
            problems += 1
        for name in files:
            if measured[name]["missing_lines"] or measured[name]["missing_branches"]:
                print(f"{name}: lines {measured[name]['missing_lines']}, branches {measured[name]['missing_branches']} are not tested")
                problems += 1
    print(f"full branch coverage: {problems} problem(s)")
    return problems


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1]), 1))
