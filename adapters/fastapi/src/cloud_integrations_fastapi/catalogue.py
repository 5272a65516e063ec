"""The endpoints of the catalogue: providers, their icons and their setup guides."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import Request, Response

from cloud_integrations import AsyncIntegrationManager
from cloud_integrations.documents import GuideOut, ProviderOut, ProviderReadinessOut

from .answers import Many, One, as_json
from .parameters import CategoryQuery, GuidedMethod, GuidedTenant, ProviderPath, SearchQuery

SVG = "image/svg+xml"
_ICON_HEADERS = {
    # An icon of the host's own may have styles; opened as a page, none may run or load anything.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "Cache-Control": "private, max-age=86400",
}


class CatalogueEndpoints:
    """The endpoints: each calls the manager once, and renders."""

    def __init__(self, manager: AsyncIntegrationManager, icons: Mapping[str, str]) -> None:
        self._manager = manager
        self._icons = dict(icons)

    async def list_providers(self, search: SearchQuery = "", category: CategoryQuery = None) -> Response:
        """List the providers, with the methods by which this installation can connect them.

        With `search` those that fit it, the best first: by slug, name, alias, description or category, without regard to case and accents.
        """
        found = self._manager.list_providers(search=search, category=category)
        return as_json(Many[ProviderOut](data=tuple(map(ProviderOut.of, found))))

    async def report_ageing(self) -> Response:
        """List for every provider what works here, what is missing for the rest, what ends, and how many integrations that concerns.

        It is for operators: the counts are those of all tenants.
        """
        found = await self._manager.report_ageing()
        return as_json(Many[ProviderReadinessOut](data=tuple(map(ProviderReadinessOut.of, found))))

    async def show_icon(self, request: Request, provider: ProviderPath) -> Response:
        """Show the icon of a provider: the host's own, or letters on a coloured square.  It may be cached for a day."""
        found = self._manager.get_provider(provider)
        svg = self._icons.get(found.slug) or found.icon.svg()
        tag = f'"{hashlib.sha256(svg.encode()).hexdigest()[:32]}"'
        headers = _ICON_HEADERS | {"ETag": tag}
        if _knows(request, tag):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return Response(svg, headers=headers, media_type=SVG)

    async def show_guide(self, provider: ProviderPath, method: GuidedMethod = None, tenant_id: GuidedTenant = None) -> Response:
        """Show what a person does at a provider so that a method can be connected: steps, links, documents, and how to undo it.

        Nothing that is stored is shown: of a tenant, only what follows from its id.
        """
        return as_json(One[GuideOut](data=GuideOut.of(self._manager.guide(provider, method=method, tenant_id=tenant_id))))


def _knows(request: Request, tag: str) -> bool:
    """Return whether the caller has this version already (RFC 9110 §13.1.2, by the weak comparison)."""
    tags = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
    return tag in tags or tags == ["*"]
