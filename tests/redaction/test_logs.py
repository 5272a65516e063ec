"""Log records and events lose their secrets, and nothing else."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from cloud_integrations.redaction import RedactingFilter, redact_event

CANARY = "CanaryQ7x9Zk3"
KEY = "ghp_" + CANARY + "f" * (36 - len(CANARY))


class Talkative:
    def __str__(self) -> str:
        return f"token={CANARY}"


class Broken:
    def __str__(self) -> str:
        raise RuntimeError(CANARY)

    __repr__ = __str__


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.addFilter(RedactingFilter())
    logger = logging.getLogger("redacted")
    logger.addHandler(handler)
    yield logger, out
    logger.removeHandler(handler)
    handler.close()


@pytest.mark.parametrize(
    ("message", "args"),
    [
        (f"got {KEY}", ()),
        ("got %s", (KEY,)),
        ("token=%s", (CANARY,)),
        ("got %(key)s", ({"key": KEY},)),
        ("got %s", ({"access_token": CANARY},)),
        ("got %r", ([KEY, {"Authorization": f"Bearer {CANARY}"}],)),
        ("got %s", (Talkative(),)),
        ("got %s", (f"token={CANARY}".encode(),)),
        ("too few %s %s", (KEY,)),
    ],
)
def test_a_message_loses_its_secret(log: tuple[logging.Logger, io.StringIO], message: str, args: tuple[object, ...]) -> None:
    logger, out = log
    logger.error(message, *args)
    assert "[removed: " in out.getvalue()
    assert CANARY not in out.getvalue()


def test_exception_and_stack_lose_theirs(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, out = log
    try:
        raise ValueError(f"refused {KEY}") from KeyError(f"client_secret={CANARY}")  # noqa: TRY301  # caught here, as an application does
    except ValueError:
        logger.exception("failed", stack_info=True)
    assert "Traceback" in out.getvalue()
    assert "[removed: GitHub token]" in out.getvalue()
    assert CANARY not in out.getvalue()


def test_extra_attributes_lose_theirs_by_form_and_by_name() -> None:
    record = logging.makeLogRecord(
        {"msg": "m", "key": KEY, "api_key": CANARY, "body": {"password": CANARY, "n": 1}, "exc_text": f"x {KEY}"}
    )
    assert RedactingFilter().filter(record)
    assert CANARY not in repr(vars(record))
    assert vars(record)["body"] == {"password": "[removed: password]", "n": 1}


def test_a_record_without_a_secret_stays_as_it_is() -> None:
    error = ValueError("plain")
    given = {
        "msg": "took %d ms for %s",
        "args": (12, [1, "a"]),
        "exc_info": (ValueError, error, None),
        "stack_info": None,
        "user": {"id": 1},
    }
    record = logging.makeLogRecord(given)
    assert RedactingFilter().filter(record)
    assert all(vars(record)[name] is value for name, value in given.items())


def test_the_filter_never_raises() -> None:
    for args in ((Broken(),), ({"a": Broken()},)):
        record = logging.makeLogRecord({"msg": "x %s", "args": args, "other": Broken()})
        assert RedactingFilter().filter(record)


def test_an_event_of_structlog_loses_its_secrets() -> None:
    event = {"event": f"got {KEY}", "refresh_token": CANARY, "request": {"headers": [f"Cookie: a={CANARY}"]}, "status": 200}
    cleaned = redact_event(None, "info", event)
    assert CANARY not in repr(cleaned)
    assert cleaned["status"] == 200


def test_nothing_of_it_is_loaded_with_the_package() -> None:
    code = "import sys, cloud_integrations; sys.exit('cloud_integrations.redaction' in sys.modules)"
    heavy = (
        "import sys; before = set(sys.modules); import cloud_integrations.redaction as r; r.redact('token=x'); "
        "sys.exit(bool({'pydantic', 'tomllib'} & (sys.modules.keys() - before)))"
    )
    for program in (code, heavy):
        assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
