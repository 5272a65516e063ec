"""A request's body, read within limits, by pydantic's own parser; FastAPI and its 422 never see it."""

from __future__ import annotations

import re
from typing import TypeVar
from uuid import UUID, uuid4

from fastapi import Request
from pydantic import BaseModel, ValidationError

from cloud_integrations.errors import ValidationFailedError

from .errors import read_problems

BODY_LIMIT = 64 * 1024
QUERY_LIMIT = 8 * 1024
DEPTH_LIMIT = 32

B = TypeVar("B", bound=BaseModel)
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# Strings are stepped over in one piece, ended or not, so that the walk is linear whatever comes.
_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)


async def read_body(request: Request, model: type[B], /) -> B:
    """Return the JSON body as *model*, or raise `ValidationFailedError` that repeats nothing of it."""
    if media_type(request) != "application/json":
        raise ValidationFailedError(field="Content-Type", problem="must be application/json")
    body = bytearray()
    async for chunk in request.stream():
        # Counted, not believed: Content-Length may be missing or wrong.
        body += chunk
        if len(body) > BODY_LIMIT:
            raise ValidationFailedError(field="body", problem="must have at most 64 KiB")
    if is_deep(body):
        raise ValidationFailedError(field="body", problem=f"must be nested at most {DEPTH_LIMIT} deep")
    try:
        return model.model_validate_json(bytes(body))
    except ValidationError as error:
        problems = read_problems(error.errors(include_input=False, include_url=False))
    raise problems  # outside the handler, so that the input does not travel along as context


def read_id(text: str, /) -> UUID:
    """Return the UUID in a path; in the place of what is none comes a new one, which names nothing.

    So an id that is malformed and one that does not exist go the same way to the same answer.
    """
    return UUID(text) if _UUID.fullmatch(text) else uuid4()


def media_type(request: Request, /) -> str:
    """Return the body's media type without parameters, or nothing."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def is_deep(body: bytes | bytearray, /) -> bool:
    """Say whether brackets are nested deeper than we read."""
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
