"""One blocking key service stands behind both doors."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import ClassVar
from uuid import UUID

import pytest
from tests.tracebacks import shown_by

from cloud_integrations.backends.keys.local import LocalKeyring
from cloud_integrations.errors import DecryptError, SealingError
from cloud_integrations.ports.key_service import AsyncKeyService
from cloud_integrations.runtime.sync import AwaitableKeyService
from cloud_integrations.testing.contracts.key_service import DATA_KEY, KEY_ID, wrap_for_test

TOO_LONG = b"FAKE-CANARY-" + bytes(40)


class Device(LocalKeyring):
    """Waits, as a network does, and notes in which threads it was called."""

    waits = True
    threads: ClassVar[set[int]] = set()

    def wrap(self, data_key: bytes, /, *, tenant_id: str, key_id: UUID, version: int):
        self.threads.add(threading.get_ident())
        return super().wrap(data_key, tenant_id=tenant_id, key_id=key_id, version=version)


@pytest.mark.parametrize("in_thread", [True, False])
async def test_awaited_keys_answer_as_the_service(in_thread):
    service = LocalKeyring([LocalKeyring.generate_key("a")])
    keys: AsyncKeyService = AwaitableKeyService(service, in_thread=in_thread)
    assert keys.keks() == service.keks()
    assert keys.primary("acme") == service.primary("acme")
    assert keys.waits is False
    ref, wrapped = await keys.wrap(DATA_KEY, tenant_id="tenant-a", key_id=KEY_ID, version=1)
    assert ref == service.primary("tenant-a")
    row = replace(wrap_for_test(service), wrapped=wrapped)
    assert await keys.unwrap(row) == DATA_KEY
    with pytest.raises(DecryptError):
        await keys.unwrap(replace(row, version=2))


async def test_a_service_that_waits_does_not_hold_up_the_loop():
    service = Device([LocalKeyring.generate_key("a")])
    await AwaitableKeyService(service, in_thread=service.waits).wrap(DATA_KEY, tenant_id="t", key_id=KEY_ID, version=1)
    assert service.threads
    assert threading.get_ident() not in service.threads


@pytest.mark.requirement("ENC-18")
@pytest.mark.parametrize("in_thread", [True, False])
async def test_a_failed_wrap_shows_no_key(in_thread):
    keys = AwaitableKeyService(LocalKeyring([LocalKeyring.generate_key("a")]), in_thread=in_thread)
    with pytest.raises(SealingError) as caught:
        await keys.wrap(TOO_LONG, tenant_id="t", key_id=KEY_ID, version=1)
    shown = shown_by(caught.value)
    assert "wrap {" in shown
    assert "FAKE-CANARY" not in shown
