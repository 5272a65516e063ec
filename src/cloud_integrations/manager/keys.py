"""Data keys and the keys that wrap them: report, rotate, rewrap, reseal, destroy."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from uuid import UUID

from cloud_integrations import flows
from cloud_integrations.domain.audit import Actor
from cloud_integrations.domain.rekeying import KeyReport, RekeyRun

from .parts import AsyncPart, Part


class Keys(Part):
    """Data keys and wrapping keys, for the operator: `manager.keys`."""

    def report(self, *, tenant_id: str | None = None) -> KeyReport:
        """Return how much each wrapping key protects, or each data key of one tenant, and what rotation has left to do."""
        return self._run(flows.key_report(self._wiring, tenant=tenant_id))

    def rotate(
        self,
        *,
        tenant_id: str | None = None,
        created_before: datetime | None = None,
        progress: Callable[[int], None] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> RekeyRun:
        """Replace the data key of every tenant, or of one, if it is older than *created_before* (None: now).

        The new key seals from now on, in every process; the old one still opens what it sealed, until `reseal` has sealed that anew.
        The call may be interrupted, repeated, and made by any number of processes: with the same *created_before* each tenant gets one
        new key.  *progress* is told how many more keys were looked at.
        """
        return self._run(
            flows.rotate_keys(
                self._wiring,
                tenant=tenant_id,
                created_before=created_before,
                caller=self._acting(actor, request_id),
                progress=progress,
            )
        )

    def rewrap(
        self,
        *,
        tenant_id: str | None = None,
        progress: Callable[[int], None] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> RekeyRun:
        """Wrap every data key, or those of one tenant, with the primary wrapping key, whichever key wraps them now.

        This rotates the wrapping key, or moves to another key service; no sealed value changes.  The call may be interrupted and
        repeated.  *progress* is told how many more keys were looked at.
        """
        return self._run(flows.rewrap_keys(self._wiring, tenant=tenant_id, caller=self._acting(actor, request_id), progress=progress))

    def reseal(self, *, share: float = 1.0, progress: Callable[[int], None] | None = None) -> RekeyRun:
        """Seal anew every row that is sealed under a replaced data key.

        It blocks no other call, and overwrites nothing that a refresh writes meanwhile.  The call may be interrupted, repeated, and made
        by any number of processes.  *share* is the part of the time in which it works (0.01 to 1); for the rest it pauses, so that
        others can use the database.  *progress* is told how many more rows were sealed anew.  Raises `ValidationFailedError` for another
        *share*.
        """
        return self._run(flows.reseal(self._wiring, share=share, progress=progress))

    def destroy(
        self,
        *,
        retired_before: datetime,
        progress: Callable[[int], None] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> RekeyRun:
        """Overwrite the data keys that were replaced before *retired_before* and no longer seal any row.

        What these keys sealed in an older backup of the rows can then no longer be opened.
        Raises `ValidationFailedError` for a time less than five minutes ago.
        """
        return self._run(
            flows.destroy_keys(self._wiring, retired_before=retired_before, caller=self._acting(actor, request_id), progress=progress)
        )

    def refuse(
        self,
        tenant_id: str,
        *,
        below: int,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> None:
        """Open nothing any more that the tenant's data keys below version *below* have sealed: for when somebody may know such a key.

        Other processes follow within `Settings.data_key_cache`.  `below=1` ends the refusal.  Raises `ValidationFailedError`.
        """
        self._run(flows.refuse_keys(self._wiring, tenant_id, below=below, caller=self._acting(actor, request_id)))

    def find_returned(self, tenant_id: str, key_ids: Collection[UUID | str]) -> tuple[UUID, ...]:
        """Return which of *key_ids*, the data keys that an erasure destroyed, exist again because a backup was restored."""
        return self._run(flows.find_returned(self._wiring, tenant_id, key_ids))


class AsyncKeys(AsyncPart):
    """Data keys and wrapping keys, for the operator: `manager.keys`."""

    async def report(self, *, tenant_id: str | None = None) -> KeyReport:
        """Return how much each wrapping key protects, or each data key of one tenant, and what rotation has left to do."""
        return await self._run(flows.key_report(self._wiring, tenant=tenant_id))

    async def rotate(
        self,
        *,
        tenant_id: str | None = None,
        created_before: datetime | None = None,
        progress: Callable[[int], None] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> RekeyRun:
        """Replace the data key of every tenant, or of one, if it is older than *created_before* (None: now).

        The new key seals from now on, in every process; the old one still opens what it sealed, until `reseal` has sealed that anew.
        The call may be interrupted, repeated, and made by any number of processes: with the same *created_before* each tenant gets one
        new key.  *progress* is told how many more keys were looked at.
        """
        return await self._run(
            flows.rotate_keys(
                self._wiring,
                tenant=tenant_id,
                created_before=created_before,
                caller=self._acting(actor, request_id),
                progress=progress,
            )
        )

    async def rewrap(
        self,
        *,
        tenant_id: str | None = None,
        progress: Callable[[int], None] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> RekeyRun:
        """Wrap every data key, or those of one tenant, with the primary wrapping key, whichever key wraps them now.

        This rotates the wrapping key, or moves to another key service; no sealed value changes.  The call may be interrupted and
        repeated.  *progress* is told how many more keys were looked at.
        """
        return await self._run(flows.rewrap_keys(self._wiring, tenant=tenant_id, caller=self._acting(actor, request_id), progress=progress))

    async def reseal(self, *, share: float = 1.0, progress: Callable[[int], None] | None = None) -> RekeyRun:
        """Seal anew every row that is sealed under a replaced data key.

        It blocks no other call, and overwrites nothing that a refresh writes meanwhile.  The call may be interrupted, repeated, and made
        by any number of processes.  *share* is the part of the time in which it works (0.01 to 1); for the rest it pauses, so that
        others can use the database.  *progress* is told how many more rows were sealed anew.  Raises `ValidationFailedError` for another
        *share*.
        """
        return await self._run(flows.reseal(self._wiring, share=share, progress=progress))

    async def destroy(
        self,
        *,
        retired_before: datetime,
        progress: Callable[[int], None] | None = None,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> RekeyRun:
        """Overwrite the data keys that were replaced before *retired_before* and no longer seal any row.

        What these keys sealed in an older backup of the rows can then no longer be opened.
        Raises `ValidationFailedError` for a time less than five minutes ago.
        """
        return await self._run(
            flows.destroy_keys(self._wiring, retired_before=retired_before, caller=self._acting(actor, request_id), progress=progress)
        )

    async def refuse(
        self,
        tenant_id: str,
        *,
        below: int,
        actor: Actor | str | None = None,
        request_id: str | UUID | None = None,
    ) -> None:
        """Open nothing any more that the tenant's data keys below version *below* have sealed: for when somebody may know such a key.

        Other processes follow within `Settings.data_key_cache`.  `below=1` ends the refusal.  Raises `ValidationFailedError`.
        """
        await self._run(flows.refuse_keys(self._wiring, tenant_id, below=below, caller=self._acting(actor, request_id)))

    async def find_returned(self, tenant_id: str, key_ids: Collection[UUID | str]) -> tuple[UUID, ...]:
        """Return which of *key_ids*, the data keys that an erasure destroyed, exist again because a backup was restored."""
        return await self._run(flows.find_returned(self._wiring, tenant_id, key_ids))
