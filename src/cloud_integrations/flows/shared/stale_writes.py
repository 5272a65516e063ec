"""Repeating work whose write was refused because another caller wrote first."""

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
    """Call *attempt*, which reads and then writes, until it does not raise `StaleWriteError`; return its result.

    Raises `StorageUnavailableError`, which names *subject*, after five attempts.
    """
    for _ in range(_TRIES):
        try:
            return await attempt()
        except StaleWriteError:
            continue
    raise StorageUnavailableError(f"the {subject} kept changing")


async def apply_sealed(
    wiring: Wiring,
    tenant_id: TenantId,
    changes: Callable[[DataKey], Sequence[Change | Event]],
    /,
    *,
    begun_under: UUID | None = None,
    fetched: DataKey | None = None,
) -> None:
    """Apply *changes*, sealed with the tenant's active key; seal them again if that key is replaced in the meantime.

    *begun_under* is the id of the active key when the work began (`DataKeys.id_at_start`); *fetched* is the active key itself, if it
    was fetched when the work began: the key service is then asked only if that key was replaced.  Raises `TenantNotFoundError` if the
    key *begun_under* is destroyed, because then the tenant was erased; `StorageUnavailableError` after five attempts.
    """
    for _ in range(_TRIES):
        key = fetched or await wiring.data_keys.active(tenant_id)
        # `destroy_keys` keeps a replaced key for minutes, longer than this work takes; an erasure destroys keys at once.
        if begun_under not in {None, key.key_id} and begun_under in await wiring.store.list_destroyed_keys(tenant_id):
            raise TenantNotFoundError(tenant_id=tenant_id)
        try:
            return await apply(wiring, *changes(key))
        except KeyRetiredError:
            wiring.data_keys.forget(tenant_id)
            fetched = None
    raise StorageUnavailableError("the data key kept changing")
