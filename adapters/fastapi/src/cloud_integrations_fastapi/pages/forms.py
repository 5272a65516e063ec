"""The forms of the pages: read within limits, and only where they come from a page of ours."""

from __future__ import annotations

from fastapi import Request

from cloud_integrations_fastapi.reading import FIELD_LIMIT, FORM_LIMIT, read_form

from .shell import Shell


async def read_own_form(request: Request, shell: Shell, /, *, limit: int = FORM_LIMIT, most: int = FIELD_LIMIT) -> dict[str, str]:
    """Return the fields of a form of ours.  Raises `ForbiddenError` for any other, and `ValidationFailedError` for a malformed one."""
    fields = dict(await read_form(request, limit=limit, most=most))
    shell.admit_form(request, fields)
    return fields
