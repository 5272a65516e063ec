"""Work that is done anew because somebody else wrote first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar
from uuid import UUID

from cloud_integrations.domain.envelope import DataKey
from cloud_integrations.domain.events import Event
from cloud_integrations.domain.identifiers import TenantId
from cloud_integrations.errors import KeyRetiredError, StaleWriteError, StorageUnavailableError, TenantNotFoundError
from cloud_integrations.ports.store import Change

from .events import apply
from .wiring import Wiring

T = TypeVar("T")
_TRIES: Final = 5


async def again(attempt: Callable[[], Awaitable[T]], /, *, subject: str) -> T:
    """Return what *attempt*, which reads and writes, returns; try anew while it raises `StaleWriteError`.

    Raises `StorageUnavailableError` if that is so five times.
    """
    for _ in range(_TRIES):
        try:
            return await attempt()
        except StaleWriteError:
            continue
    raise StorageUnavailableError(f"the {subject} kept changing")


async def apply_sealed(
    wiring: Wiring, tenant_id: TenantId, changes: Callable[[DataKey], Sequence[Change | Event]], /, *, begun_under: UUID | None = None
) -> None:
    """Make *changes*, which seal with the tenant's active key; once more with the new key where it was replaced meanwhile.

    Work that was *begun_under* a key which is destroyed by now is part of no tenant: `TenantNotFoundError`.
    """
    for _ in range(_TRIES):
        key = await wiring.data_keys.active(tenant_id)
        # Keys that were replaced are destroyed after minutes (`destroy_keys`), those of an erased tenant at once.
        if begun_under not in {None, key.key_id} and begun_under in await wiring.store.list_destroyed_keys(tenant_id):
            raise TenantNotFoundError(tenant_id=tenant_id)
        try:
            return await apply(wiring, *changes(key))
        except KeyRetiredError:
            wiring.data_keys.forget(tenant_id)
    raise StorageUnavailableError("the data key kept changing")
