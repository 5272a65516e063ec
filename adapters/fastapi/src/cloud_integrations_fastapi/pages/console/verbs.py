"""What an operator does to integrations: the verbs, each with its permission, and what became of each integration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID

from fastapi import Request, Response

from cloud_integrations import AsyncIntegrationManager, Integration
from cloud_integrations.errors import CloudIntegrationsError, ValidationFailedError
from cloud_integrations_fastapi.authorization import Permission
from cloud_integrations_fastapi.pages.connect.words import OUTCOMES, REVOCATIONS, REVOKED_KINDS
from cloud_integrations_fastapi.pages.forms import read_own_form
from cloud_integrations_fastapi.reading import read_integration_id

from .asked import text_of
from .desk import Desk

Name = Literal["verify", "refresh", "disable", "enable", "delete"]
Tone = Literal["good", "warn", "bad"]
MOST: Final = 25
"""How many integrations one request works on: as many as a page lists."""
ROW: Final = "row."
"""The field of a selected integration is this and its id; its value is the tenant."""
_FORM_LIMIT: Final = 128 * 1024
_FIELDS: Final = MOST + 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """Something to do to an integration, and the permission in its tenant that it needs."""

    name: Name
    title: str
    says: str
    permission: Permission
    is_hard: bool = False
    """Whether it cannot be undone here."""

    def misfit(self, one: Integration, /) -> str | None:
        """Say why nothing comes of it for *one*; None: something does."""
        if self.name == "refresh" and not one.renewable:
            return "Has nothing to renew from"
        if self.name == "disable" and one.health == "disabled":
            return "Is disabled already"
        if self.name == "enable" and one.health != "disabled":
            return "Is not disabled"
        return None


VERBS: Final[Mapping[str, Verb]] = {
    verb.name: verb
    for verb in (
        Verb(
            name="verify",
            title="Verify",
            says="Asks the provider whether the credential works, by its cheapest request that reads.",
            permission=Permission.VERIFY,
        ),
        Verb(
            name="refresh",
            title="Refresh",
            says="Renews the credential now, whatever lifetime it has left.",
            permission=Permission.UPDATE,
        ),
        Verb(
            name="disable",
            title="Disable",
            says="Stops the use of the credential until it is enabled again. The access at the provider stays.",
            permission=Permission.UPDATE,
        ),
        Verb(name="enable", title="Enable", says="Lets the credential be used again.", permission=Permission.UPDATE),
        Verb(
            name="delete",
            title="Delete",
            says="Ends the access at the provider where it can be, and deletes what is stored here. This cannot be undone.",
            permission=Permission.DELETE,
            is_hard=True,
        ),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A selected integration; None: it is not there any more."""

    tenant_id: str
    integration_id: UUID
    integration: Integration | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What became of one integration."""

    row: Row
    tone: Tone
    text: str


class Verbs:
    """The page that counts and lists before something is done, and the page that says what became of it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def confirm(self, request: Request) -> Response:
        """Show what a verb would do to the selected integrations, and ask why: nothing is changed."""
        verb, rows, fields = await self._read(request)
        found = [row for row in rows if row.integration is not None]
        return self._desk.show(
            request,
            "confirm",
            section="integrations",
            verb=verb,
            rows=rows,
            misfits={row.integration_id: verb.misfit(row.integration) for row in found if row.integration is not None},
            providers=self._desk.providers(),
            back=self._back(fields),
        )

    async def do(self, request: Request) -> Response:
        """Do it, one integration after the other, and show what became of each."""
        verb, rows, fields = await self._read(request)
        acting = self._desk.acting(request, reason=fields.get("reason", "").strip())
        done = [await self._one(acting, verb, row) for row in rows]
        return self._desk.show(
            request, "done", section="integrations", verb=verb, done=done, providers=self._desk.providers(), back=self._back(fields)
        )

    async def _one(self, acting: AsyncIntegrationManager, verb: Verb, row: Row) -> Done:
        if row.integration is None:
            return Done(row=row, tone="warn", text="There is no such integration any more.")
        try:
            text, tone = await _apply(acting, verb.name, row.tenant_id, row.integration_id)
        except CloudIntegrationsError as error:
            return Done(row=row, tone="bad", text=f"{error.message[:1].upper()}{error.message[1:]}.")
        return Done(row=row, tone=tone, text=text)

    async def _read(self, request: Request) -> tuple[Verb, list[Row], dict[str, str]]:
        fields = await read_own_form(request, self._desk.shell, limit=_FORM_LIMIT, most=_FIELDS)
        verb = VERBS.get(fields.get("verb", ""))
        if verb is None:
            raise ValidationFailedError(field="verb", problem=f"must be one of {', '.join(VERBS)}")
        named = [(tenant, read_integration_id(name.removeprefix(ROW))) for name, tenant in fields.items() if name.startswith(ROW)]
        if not named or len(named) > MOST:
            raise ValidationFailedError(field="row", problem=f"must be selected 1 to {MOST} times")
        # All are asked before anything is done, so that half of a selection is not left over.
        for tenant in dict.fromkeys(tenant for tenant, _ in named):
            for permission in (Permission.READ, verb.permission):
                await self._desk.require(request, permission, tenant)
        return verb, [await self._row(tenant, integration_id) for tenant, integration_id in named], fields

    async def _row(self, tenant: str, integration_id: UUID) -> Row:
        try:
            found = await self._desk.manager.get_integration(tenant, integration_id)
        except CloudIntegrationsError as error:
            if error.code not in {"integration/not-found", "tenant/not-found"}:
                raise
            return Row(tenant_id=tenant, integration_id=integration_id, integration=None)
        return Row(tenant_id=tenant, integration_id=integration_id, integration=found.as_of(self._desk.shell.now()))

    def _back(self, fields: Mapping[str, str]) -> str:
        """Return the page of the console that the selection was made on."""
        back = text_of(fields, "back") or ""
        ours = self._desk.shell.url("integrations")
        return back if back == ours or back.startswith((f"{ours}?", f"{ours}/")) else ours


async def _apply(acting: AsyncIntegrationManager, name: Name, tenant: str, integration_id: UUID) -> tuple[str, Tone]:
    match name:
        case "verify":
            await acting.limits.count("verify", tenant)
            report = await acting.verify(tenant, integration_id)
            if not report.verified:
                return "This provider has no way to ask, so nothing was sent.", "warn"
            return OUTCOMES[report.outcome], "good" if report.works else "warn"
        case "refresh":
            renewed = await acting.refresh(tenant, integration_id)
            return "Renewed." if renewed.expires_at is None else f"Renewed; it ends {renewed.expires_at:%Y-%m-%d %H:%M} UTC.", "good"
        case "disable":
            await acting.edit_integration(tenant, integration_id, status="inactive")
            return "Disabled.", "good"
        case "enable":
            await acting.edit_integration(tenant, integration_id, status="active")
            return "Enabled.", "good"
        case "delete":
            removal = await acting.delete(tenant, integration_id)
            ended = {kind: str(getattr(removal, kind)) for kind in REVOKED_KINDS}
            said = [f"{REVOKED_KINDS[kind]}: {REVOCATIONS[outcome]}" for kind, outcome in ended.items() if outcome != "skipped"]
            return " ".join(["Deleted.", *said]), "good" if set(ended.values()) <= {"skipped", "revoked"} else "warn"
