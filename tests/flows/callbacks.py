"""A callback that is refused."""

from __future__ import annotations

import pytest

from cloud_integrations.errors import GrantRefusedError

from .conftest import ACME


async def refused(world, begun, params=None, **changes):
    """Come back, be refused, and return the reason."""
    with pytest.raises(GrantRefusedError) as caught:
        await world.come_back(begun, params, **changes)
    assert await world.door.list_integrations(ACME) == ()
    return caught.value.reason
