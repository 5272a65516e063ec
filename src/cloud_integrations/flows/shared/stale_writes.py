"""Work that is done anew because somebody else wrote first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from cloud_integrations.errors import StaleWriteError, StorageUnavailableError

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
