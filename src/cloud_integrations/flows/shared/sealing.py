"""Sealing values for the row and column that store them, and opening them again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, Literal
from uuid import UUID

from cloud_integrations.domain.credential import Grant
from cloud_integrations.domain.dpop import DPOP_KEY
from cloud_integrations.domain.envelope import DataKey, SealingContext
from cloud_integrations.domain.identifiers import ContextId, IntegrationId, TenantId
from cloud_integrations.domain.integration import Integration, SealedCredential, StoredIntegration
from cloud_integrations.domain.parts import Parts, pack, unpack
from cloud_integrations.domain.pending import PendingAuthorization
from cloud_integrations.domain.rekeying import SealedRow
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import DecryptError
from cloud_integrations.ports.cipher import Cipher
from cloud_integrations.ports.store import AsyncStore

from .data_keys import DataKeys
from .fingerprints import account_fingerprint, token_fingerprint

INTEGRATION_TABLE: Final = "ci_integration"
_PENDING_TABLE: Final = "ci_authorization"
Column = Literal["presented", "renewal"]
"""The sealed columns of an integration."""


class Sealer:
    """Seals values under a tenant's data key, and opens them.

    Methods that open raise `DecryptError` for a value that does not open, and `KeyServiceUnavailableError` or `KeyringError` as
    `DataKeys` does.
    """

    def __init__(self, *, keys: DataKeys, cipher: Cipher, store: AsyncStore) -> None:
        self._keys = keys
        self._cipher = cipher
        self._store = store

    def seal(self, key: DataKey, secret: Secret, /, *, table: str, row: str, field: str, generation: int = 0) -> bytes:
        """Seal *secret* so that it opens only with this tenant, table, row, field and generation as its context."""
        context = SealingContext(tenant=key.tenant_id, table=table, row=row, field=field, gen=generation)
        return self._cipher.seal(secret.reveal().encode(), key=key.key, key_id=key.key_id.bytes, context=context.pairs())

    async def open(self, tenant_id: TenantId, sealed: bytes, /, *, table: str, row: str, field: str, generation: int = 0) -> Secret:
        """Open a value that `seal` sealed with the same context."""
        key = await self._keys.require(tenant_id, UUID(bytes=self._cipher.key_id_of(sealed)))
        context = SealingContext(tenant=tenant_id, table=table, row=row, field=field, gen=generation)
        return Secret(self._cipher.open(sealed, key=key.key, key_id=key.key_id.bytes, context=context.pairs()).decode())

    def seal_parts(
        self,
        key: DataKey,
        integration_id: UUID,
        presented: Parts,
        renewal: Parts | None = None,
        /,
        *,
        generation: int,
        fingerprint: bytes | None = None,
    ) -> SealedCredential:
        """Seal the *presented* and *renewal* parts of a credential for the integration's row; *fingerprint* is that of a pasted key."""
        context: dict[str, Any] = {"table": INTEGRATION_TABLE, "row": str(integration_id), "generation": generation}
        return SealedCredential(
            generation=generation,
            key_id=key.key_id,
            presented=self.seal(key, pack(presented), field="presented", **context),
            renewal=None if renewal is None else self.seal(key, pack(renewal), field="renewal", **context),
            presented_fingerprint=fingerprint,
        )

    def seal_grant(
        self,
        key: DataKey,
        index: DataKey,
        facts: Integration,
        grant: Grant,
        /,
        *,
        generation: int,
        application: ContextId,
        kept: Secret | None = None,
    ) -> SealedCredential:
        """Seal a grant for the row of *facts*, with its fingerprints.

        *application* is that of `account_fingerprint`.
        *kept* is the refresh token that was stored before: it stays valid if the grant brings no new one (RFC 6749 §6).
        """
        access, refresh = grant.access_token, grant.refresh_token or kept
        bound = {} if grant.dpop_key is None else {DPOP_KEY: grant.dpop_key}
        renewal = grant.inputs or (None if refresh is None else {"refresh_token": refresh, **bound})
        return replace(
            self.seal_parts(key, facts.id, grant.parts, renewal, generation=generation),
            presented_fingerprint=token_fingerprint(index, facts.provider_id, access),
            renewal_fingerprint=None if refresh is None else token_fingerprint(index, facts.provider_id, refresh),
            account_fingerprint=account_fingerprint(index, facts, application),
        )

    async def open_token(self, stored: StoredIntegration, kind: Literal["access", "refresh"], /) -> Secret | None:
        """Return the access token or the refresh token of a row, or None if it has none."""
        return (await self.open_column(stored, "presented" if kind == "access" else "renewal")).get(f"{kind}_token")

    async def open_column(self, stored: StoredIntegration, field: Column, /) -> dict[str, Secret]:
        """Return the parts of one column of a row; none if the column is empty."""
        sealed: bytes | None = getattr(stored.credential, field)
        if sealed is None:
            return {}
        generation = stored.credential.generation
        return await self.open_parts(stored.facts.tenant_id, stored.facts.id, sealed, field=field, generation=generation)

    async def open_parts(
        self, tenant_id: TenantId, integration_id: IntegrationId, sealed: bytes, /, *, field: Column, generation: int
    ) -> dict[str, Secret]:
        """Open the parts that were read from an integration's row; if that fails, those that the row has now in the same generation."""
        place: dict[str, Any] = {"table": INTEGRATION_TABLE, "row": str(integration_id), "field": field, "generation": generation}
        try:
            return unpack(await self.open(tenant_id, sealed, **place))
        except DecryptError:
            # The row may have been resealed after it was read, and its old key destroyed.
            found = await self._store.find_integration(tenant_id, integration_id)
            resealed = None if found is None or found.credential.generation != generation else getattr(found.credential, field)
            if resealed is None or resealed == sealed:
                raise
        return unpack(await self.open(tenant_id, resealed, **place))

    def seal_pending(self, key: DataKey, pending: PendingAuthorization, parts: Parts, /) -> PendingAuthorization:
        """Return *pending* with its secret *parts*, sealed for its row."""
        sealed = self.seal(key, pack(parts), table=_PENDING_TABLE, row=pending.state_hash.hex(), field="parts")
        return replace(pending, sealed_parts=sealed, key_id=key.key_id)

    async def open_pending(self, pending: PendingAuthorization, /) -> dict[str, Secret]:
        """Open the secret parts of an authorization that has begun; it may have none."""
        if pending.sealed_parts is None:
            return {}
        row = pending.state_hash.hex()
        return unpack(await self.open(pending.tenant_id, pending.sealed_parts, table=_PENDING_TABLE, row=row, field="parts"))

    def reseal(self, row: SealedRow, /, *, old: DataKey, new: DataKey) -> SealedRow:
        """Return *row* with every field opened with *old* and sealed again with *new*, in the same context."""
        contexts = {
            field: SealingContext(tenant=row.tenant_id, table=row.table, row=row.row, field=field, gen=row.generation).pairs()
            for field in row.sealed
        }
        opened = {
            field: self._cipher.open(sealed, key=old.key, key_id=old.key_id.bytes, context=contexts[field])
            for field, sealed in row.sealed.items()
        }
        try:
            sealed = {
                field: self._cipher.seal(plaintext, key=new.key, key_id=new.key_id.bytes, context=contexts[field])
                for field, plaintext in opened.items()
            }
        finally:
            # A traceback may be shown with the local variables of its frames.
            opened.clear()
        return replace(row, key_id=new.key_id, sealed=sealed)
