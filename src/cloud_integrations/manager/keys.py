"""Data keys and the keys that wrap them: report, rotate, move, destroy."""

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
        """Count what each wrapping key protects, or each data key of one tenant; shows what rotation has left to do."""
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
        """Give every tenant, or one, whose data key is older than *created_before* (None: now) a new one.

        It seals from now on, in every process; what the old one sealed still opens until `reseal` has moved it.  May be interrupted,
        repeated, and run by any number of processes: with the same *created_before* each tenant gets one new key.  *progress* is told
        how many keys were looked at.
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
        """Wrap every data key with the wrapping key that is the primary now, wherever it was wrapped before.

        This rotates the wrapping key, and moves from one key service to another; no sealed value is touched.
        May be interrupted and repeated.
        """
        return self._run(flows.rewrap_keys(self._wiring, tenant=tenant_id, caller=self._acting(actor, request_id), progress=progress))

    def reseal(self, *, share: float = 1.0, progress: Callable[[int], None] | None = None) -> RekeyRun:
        """Seal anew every row that is sealed under a data key that was replaced.

        Nobody waits for it, and it overwrites nothing that a refresh writes meanwhile.  May be interrupted, repeated, and run by any
        number of processes.  *share* is the part of the time to work (0.01 to 1); the rest is left to others who want the database.
        *progress* is told how many rows were sealed anew.  Raises `ValidationFailedError` for another *share*.
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
        """Overwrite data keys that were replaced before *retired_before* and seal nothing any more.

        A backup from before can then no longer be opened.  Raises `ValidationFailedError` for a time less than five minutes ago.
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
        """Refuse what the tenant's data keys below version *below* have sealed: for the case that one of them may be known to somebody.

        Other processes follow within `Settings.data_key_cache`.  `below=1` takes it back.  Raises `ValidationFailedError`.
        """
        self._run(flows.refuse_keys(self._wiring, tenant_id, below=below, caller=self._acting(actor, request_id)))

    def find_returned(self, tenant_id: str, key_ids: Collection[UUID | str]) -> tuple[UUID, ...]:
        """Return which of the data keys that an erasure destroyed are there again, because a backup was restored."""
        return self._run(flows.find_returned(self._wiring, tenant_id, key_ids))


class AsyncKeys(AsyncPart):
    """Data keys and wrapping keys, for the operator: `manager.keys`."""

    async def report(self, *, tenant_id: str | None = None) -> KeyReport:
        """Count what each wrapping key protects, or each data key of one tenant; shows what rotation has left to do."""
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
        """Give every tenant, or one, whose data key is older than *created_before* (None: now) a new one.

        It seals from now on, in every process; what the old one sealed still opens until `reseal` has moved it.  May be interrupted,
        repeated, and run by any number of processes: with the same *created_before* each tenant gets one new key.  *progress* is told
        how many keys were looked at.
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
        """Wrap every data key with the wrapping key that is the primary now, wherever it was wrapped before.

        This rotates the wrapping key, and moves from one key service to another; no sealed value is touched.
        May be interrupted and repeated.
        """
        return await self._run(flows.rewrap_keys(self._wiring, tenant=tenant_id, caller=self._acting(actor, request_id), progress=progress))

    async def reseal(self, *, share: float = 1.0, progress: Callable[[int], None] | None = None) -> RekeyRun:
        """Seal anew every row that is sealed under a data key that was replaced.

        Nobody waits for it, and it overwrites nothing that a refresh writes meanwhile.  May be interrupted, repeated, and run by any
        number of processes.  *share* is the part of the time to work (0.01 to 1); the rest is left to others who want the database.
        *progress* is told how many rows were sealed anew.  Raises `ValidationFailedError` for another *share*.
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
        """Overwrite data keys that were replaced before *retired_before* and seal nothing any more.

        A backup from before can then no longer be opened.  Raises `ValidationFailedError` for a time less than five minutes ago.
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
        """Refuse what the tenant's data keys below version *below* have sealed: for the case that one of them may be known to somebody.

        Other processes follow within `Settings.data_key_cache`.  `below=1` takes it back.  Raises `ValidationFailedError`.
        """
        await self._run(flows.refuse_keys(self._wiring, tenant_id, below=below, caller=self._acting(actor, request_id)))

    async def find_returned(self, tenant_id: str, key_ids: Collection[UUID | str]) -> tuple[UUID, ...]:
        """Return which of the data keys that an erasure destroyed are there again, because a backup was restored."""
        return await self._run(flows.find_returned(self._wiring, tenant_id, key_ids))
