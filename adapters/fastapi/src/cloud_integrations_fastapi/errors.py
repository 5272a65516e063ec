"""Errors as HTTP answers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from pydantic_core import to_json

from cloud_integrations.errors import CloudIntegrationsError, StorageUnavailableError, ValidationFailedError, http_status

_STORAGE_PAUSE = timedelta(seconds=5)
"""`Retry-After` for a database that named no time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """An error as the caller sees it."""

    status: int
    code: str
    message: str
    details: Mapping[str, Any] = field(default_factory=dict)
    advice: str = ""
    retry_after: timedelta | None = None

    def body(self) -> bytes:
        """Return the envelope as JSON."""
        error = {"code": self.code, "message": self.message, "details": self.details}
        return to_json({"success": False, "error": error}, fallback=str)

    def headers(self) -> dict[str, str]:
        """Return `Retry-After`, in whole seconds, where it is known."""
        if self.retry_after is None:
            return {}
        return {"Retry-After": str(max(1, math.ceil(self.retry_after.total_seconds())))}


INTERNAL = Problem(
    status=500, code="internal", message="something went wrong on our side", advice="Tell the operator the request id.", details={}
)


def problem_of(error: Exception, /) -> Problem:
    """Return the answer to *error*; every error that is not the caller's is the same answer, `INTERNAL`."""
    status = http_status(error)
    if status == INTERNAL.status or not isinstance(error, CloudIntegrationsError):
        return INTERNAL
    retry_after = error.retry_after
    if retry_after is None and isinstance(error, StorageUnavailableError):
        retry_after = _STORAGE_PAUSE
    return Problem(
        status=status, code=error.code, message=error.message, details=error.details, advice=error.advice, retry_after=retry_after
    )


class InvalidRequestError(ValidationFailedError):
    """The request has one or more fields that are not well formed."""

    def __init__(self, fields: Sequence[Mapping[str, str]], /) -> None:
        super().__init__(field=fields[0]["field"], problem=fields[0]["problem"])
        self.details["fields"] = [dict(named) for named in fields]


_ORDINARY_NAME = re.compile(r"[A-Za-z_]{1,32}")
_INDEX = re.compile(r"[0-9]{1,3}")
_PROBLEMS = {
    "missing": "is required",
    "key_missing": "is required, or inputs",
    "not_with_key": "cannot be given together with apiKey or secretKey",
    "json_invalid": "is not valid JSON",
    "model_type": "must be an object",
    "dict_type": "must be an object",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "string_type": "must be text",
    "string_unicode": "must be Unicode text",
    "uuid_type": "must be a UUID",
    "uuid_parsing": "must be a UUID",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "too_long": "must have at most {max_length} entries",
    "too_short": "must have at least {min_length} entries",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "not_null": "must not be null",
    "secret_length": "must be text of 1 to {max_length} characters",
    "string_pattern_mismatch": "has characters that are not allowed",
    "time": "must be a time with a zone, as 2026-01-31T12:00:00Z",
    "names": "has a name that is not 1 to 64 lower-case letters, digits and underscores",
}


def read_problems(found: Iterable[Mapping[str, Any]], /) -> InvalidRequestError:
    """Return pydantic's errors as named fields with our own texts; no value of the request is repeated."""
    fields = [{"field": _name(error), "problem": _problem(error)} for error in found]
    return InvalidRequestError(list({(named["field"], named["problem"]): named for named in fields}.values())[:20])


def _name(error: Mapping[str, Any]) -> str:
    loc = [str(part) for part in error["loc"]]
    if loc and loc[0] in {"path", "query"}:  # FastAPI names the part of the request first; our own bodies begin with the field
        loc = loc[1:]
    # A check of a whole object names the member that is wrong.
    loc += [error["ctx"]["member"]] if "member" in error.get("ctx", {}) else []
    # A name from the caller could be a secret in the wrong place, so only a plain word is repeated.
    while loc and not (_INDEX.fullmatch(loc[-1]) or _is_ordinary(loc[-1])):
        loc.pop()
    return ".".join(loc) or "body"


def _is_ordinary(name: object) -> bool:
    return isinstance(name, str) and _ORDINARY_NAME.fullmatch(name) is not None


def _problem(error: Mapping[str, Any]) -> str:
    kind = error["type"]
    if kind == "extra_forbidden":
        return "is not a known field" if _is_ordinary(error["loc"][-1]) else "has a field that is not known"
    # The placeholders are filled with the limits of our own schema.
    return _PROBLEMS.get(kind, "is not valid").format_map(error.get("ctx", {}))
