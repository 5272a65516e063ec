"""The integrations of all tenants on the console: filtered, page by page, and selected for a verb."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fastapi import Request, Response

from cloud_integrations import Health
from cloud_integrations.errors import ValidationFailedError

from .asked import day_of, number_of, text_of
from .desk import Desk
from .verbs import MOST, ROW, VERBS

_FILTERS: Final = ("tenant", "provider", "method", "health", "ends_before", "unused_since", "key_version")


class Integrations:
    """The list of integrations."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def show(self, request: Request) -> Response:
        """Show the integrations that fit, one page of them."""
        asked = request.query_params
        wanted = _filter(asked)
        after = text_of(asked, "after")
        page = await self._desk.manager.overview.integrations(**wanted, after=after, limit=MOST)
        said = {name: asked.get(name, "").strip() for name in _FILTERS}
        kept = {name: text for name, text in said.items() if text}
        return self._desk.show(
            request,
            "integrations",
            section="integrations",
            page=page,
            count=await self._desk.manager.overview.count(**wanted),
            asked=said,
            kept=kept,
            is_first=after is None,
            # The page itself, so that one returns to it from the page of a verb.
            here=self._desk.shell.url("integrations", **kept, **({} if after is None else {"after": after})),
            now=self._desk.shell.now(),
            providers=self._desk.providers(),
            healths=tuple(Health),
            verbs=VERBS.values(),
            row=ROW,
        )


def _filter(asked: Mapping[str, str]) -> dict[str, Any]:
    health = text_of(asked, "health")
    if health is not None and health not in set(Health):
        raise ValidationFailedError(field="health", problem=f"must be one of {', '.join(Health)}")
    found: dict[str, Any] = {
        "tenant_id": text_of(asked, "tenant"),
        "provider": text_of(asked, "provider"),
        "method": text_of(asked, "method"),
        "health": health,
        "ends_before": day_of(asked, "ends_before"),
        "unused_since": day_of(asked, "unused_since"),
        "key_version": number_of(asked, "key_version"),
    }
    return {name: value for name, value in found.items() if value is not None}
