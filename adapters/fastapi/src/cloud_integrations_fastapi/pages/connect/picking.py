"""The picker: every provider that the tenant can connect or has connected, and a page with all accounts at one of them."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Final

from fastapi import Request, Response

from cloud_integrations import AsyncIntegrationManager, Integration
from cloud_integrations_fastapi.pages.shell import Shell, session_of

from .cards import cards_of
from .fields import find_provider

_LONGEST_SEARCH: Final = 100
_ON_A_PAGE: Final = 50
_LONGEST_NUMBER: Final = 9


class Picking:
    """The pages with the providers, and with the accounts at one of them."""

    def __init__(self, manager: AsyncIntegrationManager, shell: Shell) -> None:
        self._manager = manager
        self._shell = shell

    async def show(self, request: Request) -> Response:
        """Show the providers, or those that fit `?q=`."""
        tenant_id, session, wanted = request.path_params["tenantId"], session_of(request), _search(request)
        providers = self._manager.list_providers(search=wanted)
        cards = cards_of(
            [each for each in providers if session is None or session.allows(each.slug, session.slot)],
            await self._integrations(request),
            now=self._shell.now(),
            slots=self._takes_more(request),
            ranked=not wanted.strip(),
        )
        return self._shell.render(request, "connect/picker.html", tenant=tenant_id, cards=cards, wanted=wanted)

    async def show_provider(self, request: Request) -> Response:
        """Show the accounts at one provider, or those that fit `?q=`, page by page (`?page=`, from 1)."""
        tenant_id, wanted = request.path_params["tenantId"], _search(request)
        provider = find_provider(self._manager.list_providers(), request.path_params["provider"], session_of(request))
        cards = cards_of([provider], await self._integrations(request), now=self._shell.now(), slots=self._takes_more(request), ranked=True)
        words = wanted.lower().split()
        held = [each for card in cards for each in card.held if each.mentions(words)]
        page = min(_page(request), max(1, ceil(len(held) / _ON_A_PAGE)))

        def address(number: int) -> str:
            query = {"page": str(number)} | ({"q": wanted} if wanted else {})
            return self._shell.url_in(request, tenant_id, "providers", provider.slug, **query)

        return self._shell.render(
            request,
            "connect/held.html",
            tenant=tenant_id,
            provider=provider,
            held=held[(page - 1) * _ON_A_PAGE : page * _ON_A_PAGE],
            number=len(held),
            before=address(page - 1) if page > 1 else None,
            after=address(page + 1) if page * _ON_A_PAGE < len(held) else None,
            can_add=any(card.can_add for card in cards),
            wanted=wanted,
        )

    async def _integrations(self, request: Request) -> Sequence[Integration]:
        session = session_of(request)
        return await self._manager.list_integrations(request.path_params["tenantId"], slot=None if session is None else session.slot)

    def _takes_more(self, request: Request) -> bool:
        """Say whether a second account of a provider can be connected here."""
        return self._manager.settings.slots and session_of(request) is None


def _search(request: Request) -> str:
    return request.query_params.get("q", "")[:_LONGEST_SEARCH]


def _page(request: Request) -> int:
    number = request.query_params.get("page", "")
    return max(int(number), 1) if number.isascii() and number.isdigit() and len(number) <= _LONGEST_NUMBER else 1
