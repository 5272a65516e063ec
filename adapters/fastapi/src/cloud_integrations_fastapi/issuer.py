"""The public documents of our own issuer, which clouds read before they trust its tokens."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from cloud_integrations import AsyncIntegrationManager, IntegrationManager
from cloud_integrations.errors import CloudIntegrationsError, ConfigurationError

from .errors import problem_of

_FRESH = {"Cache-Control": "public, max-age=300"}
"""Providers keep the documents for longer, whatever stands here."""
_NEVER = {"Cache-Control": "no-store"}


def create_issuer_router(manager: AsyncIntegrationManager | IntegrationManager, *, prefix: str | None = None) -> APIRouter:
    """Return a router with `/.well-known/openid-configuration` and `/.well-known/jwks.json` of the manager's issuer.

    Anybody may read them: they have public keys, and nothing of a tenant.  *prefix* is the path before them; left out, it is the path of
    the issuer's URL.  Give another one if a proxy changes paths.
    Raises `ConfigurationError` if the manager has no issuer, and `TypeError` where *manager* is not a manager.
    """
    if not isinstance(manager, AsyncIntegrationManager | IntegrationManager):
        raise TypeError("manager must be an AsyncIntegrationManager or an IntegrationManager")
    url = manager.issuer.url
    if url is None:
        raise ConfigurationError(setting="issuer", problem="is not set")
    blocks = isinstance(manager, IntegrationManager)

    async def answer(read: Callable[[], Any]) -> JSONResponse:
        try:
            document = await run_in_threadpool(read) if blocks else await read()
        except CloudIntegrationsError as error:
            problem = problem_of(error)
            return JSONResponse({"success": False, "error": {"code": problem.code, "message": problem.message}}, problem.status, _NEVER)
        return JSONResponse(document, headers=_FRESH)

    router = APIRouter(prefix=urlsplit(url).path if prefix is None else prefix, tags=["issuer"])
    documents = {"openid-configuration": manager.issuer.configuration, "jwks.json": manager.issuer.key_set}
    for name, read in documents.items():
        router.add_api_route(f"/.well-known/{name}", partial(answer, read), methods=["GET"], name=name, include_in_schema=False)
    return router
