"""What every request to the router passes through: limits, permission, the call, and errors in our own format.

It is a route class, so the host's other routes are not affected and keep their error format.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar
from uuid import uuid4

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from cloud_integrations import Actor
from cloud_integrations.errors import DamagedRowError, ForbiddenError, StorageUnavailableError, ValidationFailedError

from .authorization import Gate, Permission
from .errors import INTERNAL, problem_of, read_problems
from .landing import Landing
from .reading import FORM, QUERY_LIMIT, is_id, media_type, read_form
from .request_ids import answering

PERMISSION = "x-permission"
"""The key under which a route, and the OpenAPI document, name the permission that it needs."""

RELAYED = "relayed"
"""The query parameter that marks the second post of a form, which comes from our own page."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ALWAYS = ((b"cache-control", b"no-store"), (b"referrer-policy", b"no-referrer"), (b"x-content-type-options", b"nosniff"))
_log = logging.getLogger("cloud_integrations.http")


@dataclass(frozen=True, slots=True)
class Call:
    """The actor and the request id of a request."""

    actor: Actor
    request_id: str

    @classmethod
    def of(cls, request: Request, /) -> Call:
        """Return the call that the route stored in *request* before it ran the endpoint."""
        call: Call = request.state.cloud_integrations_call
        return call


class GuardedRoute(APIRoute):
    """A route that cannot be defined without a permission, or be called without it."""

    gate: ClassVar[Gate]
    landing: ClassVar[Landing | None] = None
    """What answers browsers, for a route that a provider sends them to."""
    forms: ClassVar[bool] = False
    """Whether a provider's page makes browsers post a form here (form_post)."""

    by_address: ClassVar[bool] = False
    """Whether requests are counted by the address of the client, because strangers reach the route."""

    methods_of: ClassVar[dict[str, set[str]]]
    """All methods of each path of the router."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self.methods_of.setdefault(self.path, set()).update(self.methods or ())

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an unknown method with all methods of the path (RFC 9110 §15.5.6); Starlette would name those of one route."""
        known = self.methods_of[self.path]
        if scope["method"] not in (self.methods or known):
            raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": ", ".join(sorted(known))})
        await super().handle(scope, receive, send)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return FastAPI's own handler, guarded."""
        handle = super().get_route_handler()
        permission = Permission((self.openapi_extra or {})[PERMISSION])

        async def guarded(request: Request) -> Response:
            request_id = _request_id(request)
            with answering(request_id):
                try:
                    if self.by_address:
                        await self.gate.count_address(request)
                    if self.landing is not None and self.forms and _is_first_post(request):
                        return self._sent(await _relayed(request, self.landing), request_id)
                    _within_limits(request, forms=self.forms)
                    tenant_id = request.path_params.get("tenantId")
                    actor = await self.gate.admit(request, permission, tenant_id, request_id=request_id)
                    request.state.cloud_integrations_call = Call(actor, request_id)
                    response = await handle(request)
                except HTTPException as error:
                    # The host's own answer, from `authorize`.  The request's address may hold a code, so our headers are added.
                    error.headers = {name.decode(): value.decode() for name, value in _ALWAYS} | dict(error.headers or {})
                    raise
                except RequestValidationError as error:
                    response = await self._shown(request, read_problems(error.errors()), request_id)
                except Exception as error:  # noqa: BLE001 - the border: no foreign text is sent, and no traceback is logged
                    response = await self._shown(request, error, request_id)
                return self._sent(response, request_id)

        return guarded

    def _sent(self, response: Response, request_id: str) -> Response:
        named = {name for name, _ in response.raw_headers}
        response.raw_headers.extend((name, value) for name, value in _ALWAYS if name != b"cache-control" or name not in named)
        response.raw_headers.append((b"x-request-id", request_id.encode()))
        return response

    async def _shown(self, request: Request, error: Exception, request_id: str) -> Response:
        problem = problem_of(error)
        if isinstance(error, DamagedRowError):
            _log.error("request %s failed: %s", request_id, error.message)
        elif problem is INTERNAL:
            _log.error("request %s failed: %s", request_id, type(error).__name__)  # a traceback may hold secrets
        if isinstance(error, StorageUnavailableError) and error.reason is not None:
            _log.warning("request %s failed: %s (%s)", request_id, error.message, error.reason)
        page = None if self.landing is None else await self.landing.refused(request, error, problem, request_id=request_id)
        return page or Response(problem.body(), problem.status, problem.headers(), "application/json")


def _request_id(request: Request) -> str:
    given = request.headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else uuid4().hex


def _is_first_post(request: Request) -> bool:
    return media_type(request) == FORM and RELAYED not in request.query_params and is_id(request.path_params["contextId"])


async def _relayed(request: Request, landing: Landing) -> Response:
    """Return a page that posts the form again.  It needs no permission, because nothing is done with the form.

    A browser sends no cookies with a post from another site (`SameSite=Lax`), neither ours nor the host's; with the second post it does.
    """
    _query_within_limits(request)
    fields = await read_form(request)
    if "state" not in dict(fields):
        raise ValidationFailedError(field="state", problem="is required")
    return landing.relay(request, fields, action=f"?{RELAYED}=1")


def _query_within_limits(request: Request) -> None:
    if len(request.scope["query_string"]) > QUERY_LIMIT:
        raise ValidationFailedError(field="query", problem="must have at most 8 KiB")


def _within_limits(request: Request, *, forms: bool) -> None:
    _query_within_limits(request)
    if request.method == "GET":
        return
    # A page of another site can make a browser send its cookies, but cannot remove this header or send JSON.
    if request.headers.get("sec-fetch-site") == "cross-site":
        raise ForbiddenError
    if media_type(request) not in {"", FORM if forms else "application/json"}:
        raise ValidationFailedError(field="Content-Type", problem=f"must be {FORM if forms else 'application/json'}")
