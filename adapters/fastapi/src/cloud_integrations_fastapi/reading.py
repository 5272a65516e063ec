"""Reading a request's body within limits, by pydantic's own parser; FastAPI and its own answer 422 are not involved."""

from __future__ import annotations

import re
from typing import TypeVar
from urllib.parse import parse_qsl
from uuid import UUID, uuid4

from fastapi import Request
from pydantic import BaseModel, ValidationError

from cloud_integrations.errors import ValidationFailedError

from .errors import read_problems

BODY_LIMIT = 64 * 1024
QUERY_LIMIT = 8 * 1024
DEPTH_LIMIT = 32
FORM_LIMIT = 16 * 1024
FIELD_LIMIT = 20
PROVIDER_ID_VERSION = 5
"""The version of every provider's UUID (RFC 9562 §5.5), and of no integration's."""
FORM = "application/x-www-form-urlencoded"

B = TypeVar("B", bound=BaseModel)
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# Strings are skipped in one piece, closed or not, so that the time is linear for every input.
_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)


async def read_body(request: Request, model: type[B], /) -> B:
    """Return the JSON body as *model*, or raise `ValidationFailedError` that repeats nothing of it."""
    return _parsed(request, await _read(request, limit=BODY_LIMIT), model)


async def read_body_or_none(request: Request, model: type[B], /) -> B | None:
    """Return the JSON body as `read_body` does; None where there is no body at all."""
    body = await _read(request, limit=BODY_LIMIT)
    return _parsed(request, body, model) if body or media_type(request) else None


def _parsed(request: Request, body: bytes | bytearray, model: type[B]) -> B:
    if media_type(request) != "application/json":
        raise ValidationFailedError(field="Content-Type", problem="must be application/json")
    if is_deep(body):
        raise ValidationFailedError(field="body", problem=f"must be nested at most {DEPTH_LIMIT} deep")
    try:
        return model.model_validate_json(bytes(body))
    except ValidationError as error:
        problems = read_problems(error.errors(include_input=False, include_url=False))
    raise problems  # outside the handler, so that the error has no context, which holds the input


async def read_form(request: Request, /, *, limit: int = FORM_LIMIT, most: int = FIELD_LIMIT) -> list[tuple[str, str]]:
    """Return the fields of a form-encoded body, each name once; at most *limit* bytes and *most* fields (OAU-027).

    They are kept with the request, since a body can be read once.
    Raises `ValidationFailedError` that repeats nothing of it.
    """
    kept: list[tuple[str, str]] | None = getattr(request.state, "cloud_integrations_form", None)
    if kept is not None:
        return kept
    if media_type(request) != FORM:
        raise ValidationFailedError(field="Content-Type", problem=f"must be {FORM}")
    body = await _read(request, limit=limit)
    try:
        fields = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=bool(body), errors="strict", max_num_fields=most)
    except ValueError:
        fields = None
    if fields is None:  # outside the handler, so that the error has no context, which holds the input
        raise ValidationFailedError(field="body", problem=f"must be a form of at most {most} fields")
    if len(dict(fields)) != len(fields):
        raise ValidationFailedError(field="body", problem="names a field twice")
    request.state.cloud_integrations_form = fields
    return fields


async def _read(request: Request, *, limit: int) -> bytearray:
    body = bytearray()
    async for chunk in request.stream():
        # The bytes are counted, because Content-Length may be missing or wrong.
        body += chunk
        if len(body) > limit:
            raise ValidationFailedError(field="body", problem=f"must have at most {limit // 1024} KiB")
    return body


def read_id(text: str, /) -> UUID:
    """Return the UUID in a path, or a new one, which names nothing, for a text that is no UUID.

    So a malformed id and an id that does not exist get the same answer in the same way.
    """
    return UUID(text) if is_id(text) else uuid4()


def read_integration_id(text: str, /) -> UUID:
    """Return the id of an integration in a path, as `read_id` does.

    The manager takes a provider's id for the tenant's integration with it.  In a path it names nothing: a URL belongs to one integration.
    """
    found = read_id(text)
    return uuid4() if found.version == PROVIDER_ID_VERSION else found


def is_id(text: str, /) -> bool:
    """Say whether *text* is a UUID."""
    return _UUID.fullmatch(text) is not None


def media_type(request: Request, /) -> str:
    """Return the body's media type in lower case, without parameters; empty where there is none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def is_deep(body: bytes | bytearray, /) -> bool:
    """Say whether brackets are nested deeper than `DEPTH_LIMIT`."""
    depth = 0
    for found in _STRING_OR_BRACKET.finditer(body):
        first = body[found.start()]
        if first in b"[{":
            depth += 1
            if depth > DEPTH_LIMIT:
                return True
        elif first in b"]}":
            depth -= 1
    return False
