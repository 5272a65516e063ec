"""How long a start takes, over a Python that starts and does nothing (goal P9)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from time import perf_counter

from bench.measure import Contestant, Goal, Run, Table, compare, main

_BARE = ("-c", "pass")
_MANAGER = "from cloud_integrations import IntegrationManager"
_IMPORTS = (
    ("peer", "import fastapi"),
    ("peer", "import sqlalchemy.orm"),
    ("peer", "import httpx"),
    ("ours", "import cloud_integrations"),
    ("ours", _MANAGER),
    ("ours", "from cloud_integrations import IntegrationManager, SqlAlchemyStore, HttpxTransport"),
)
_PROGRAMS = (
    ("peer", "alembic --help", ("-m", "alembic", "--help")),
    ("peer", "uvicorn --help", ("-m", "uvicorn", "--help")),
    ("ours", "cloud-integrations --help", ("-m", "cloud_integrations_cli", "--help")),
)


_CATALOGUE = (
    ("ours", "one provider", "catalogue.require('linode')"),
    ("ours", "all providers", "catalogue.list_providers()"),
)
"""What is read in a process that has read one provider: the schema is there, and the files are not."""
_TIMED = """
from time import process_time
from cloud_integrations import Catalogue
catalogue = Catalogue.builtin()
catalogue.require("github")
begun = process_time()
{code}
print(process_time() - begun)
"""


def _start(arguments: tuple[str, ...]) -> float:
    begun = perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)  # noqa: S603  # ourselves, and what is named above
    return perf_counter() - begun


def _over_bare(arguments: tuple[str, ...]) -> Run:
    # A bare start right before each one, so that both meet the same moment of the machine.
    return lambda count: sum(_start(arguments) - _start(_BARE) for _ in range(count))


def _reads(code: str) -> Run:
    """Measure *code* in a fresh process, which prints the seconds of processor time that it took."""
    timed = (sys.executable, "-c", _TIMED.format(code=code))
    return lambda count: sum(float(subprocess.run(timed, check=True, capture_output=True).stdout) for _ in range(count))  # noqa: S603


def tables(*, quick: bool) -> Iterator[Table]:
    """Measure imports and programs."""
    measure = partial(compare, rounds=1 if quick else 15, count=1, unit="ms", value=lambda seconds: seconds * 1_000)
    yield measure(
        "P9 · import, over bare Python",
        [Contestant(role=role, name=code, run=_over_bare(("-c", code))) for role, code in _IMPORTS],
        goals=[
            Goal(name="import cloud_integrations", value=lambda samples: samples["import cloud_integrations"], bound=60),
            Goal(name="IntegrationManager / fastapi", value=lambda samples: samples[_MANAGER] / samples["import fastapi"], bound=0.4),
        ],
    )
    yield measure(
        "P9 · help, over bare Python",
        [Contestant(role=role, name=name, run=_over_bare(arguments)) for role, name, arguments in _PROGRAMS],
        goals=[Goal(name="cloud-integrations --help", value=lambda samples: samples["cloud-integrations --help"], bound=150)],
    )
    yield measure(
        "Providers, read in a fresh process",
        [Contestant(role=role, name=name, run=_reads(code)) for role, name, code in _CATALOGUE],
        goals=[
            Goal(name="one provider", value=lambda samples: samples["one provider"], bound=3),
            Goal(name="all providers", value=lambda samples: samples["all providers"], bound=60),
        ],
    )


if __name__ == "__main__":
    main(__doc__, tables)
