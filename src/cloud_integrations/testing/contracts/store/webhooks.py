"""What a store promises about webhooks."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest

from cloud_integrations.errors import KeyRetiredError, StaleWriteError
from cloud_integrations.ports.store import EraseTenant, MarkWebhook, RemoveWebhook, SaveWebhook
from cloud_integrations.testing.clock import START
from cloud_integrations.testing.contracts.store.base import BlockingStore, Contract, refused
from cloud_integrations.testing.contracts.store.values import ACME, GLOBEX, NEXT_KEY, SECOND, a_webhook, applying, rotated


class WebhooksContract(Contract):
    """Storing, changing, marking and removing them."""

    def test_a_webhook_is_found_as_it_was_saved(self, blocking: BlockingStore) -> None:
        full = a_webhook(off_reason="failing", failing_since=START + SECOND, format="cloudevents", secrets=3)
        bare = a_webhook(events=(), providers=(), created_at=START + SECOND)
        blocking.apply(SaveWebhook(webhook=bare), SaveWebhook(webhook=full))
        assert blocking.list_webhooks(ACME) == (full, bare)
        assert blocking.find_webhook(ACME, full.id) == full
        assert blocking.find_webhook(ACME, uuid4()) is None

    @pytest.mark.requirement("ISO-01")
    def test_tenants_have_their_own_webhooks(self, blocking: BlockingStore) -> None:
        ours = a_webhook()
        theirs = replace(ours, tenant_id=GLOBEX)  # the same id on purpose
        blocking.apply(SaveWebhook(webhook=ours))
        assert blocking.find_webhook(GLOBEX, ours.id) is None
        assert blocking.list_webhooks(GLOBEX) == ()
        blocking.apply(SaveWebhook(webhook=theirs))
        blocking.apply(RemoveWebhook(tenant_id=GLOBEX, webhook_id=ours.id))
        assert blocking.list_webhooks(ACME) == (ours,)

    def test_a_change_of_a_webhook_replaces_the_generation_before(self, blocking: BlockingStore) -> None:
        first = a_webhook()
        second = replace(first, generation=2, events=(), sealed_parts=b"fake\x00other", updated_at=START + SECOND)
        blocking.apply(SaveWebhook(webhook=first))
        blocking.apply(SaveWebhook(webhook=second))
        assert blocking.list_webhooks(ACME) == (second,)
        for stale in (first, second, replace(second, generation=4)):
            with pytest.raises(StaleWriteError):
                blocking.apply(SaveWebhook(webhook=stale))
        assert blocking.list_webhooks(ACME) == (second,)
        third = [applying(SaveWebhook(webhook=replace(second, generation=3))) for _ in range(2)]
        assert len(refused(blocking.together(third))) == 1

    @pytest.mark.requirement("ENC-10")
    def test_a_webhook_is_sealed_under_the_active_key(self, blocking: BlockingStore) -> None:
        blocking.apply(rotated())
        with pytest.raises(KeyRetiredError):
            blocking.apply(SaveWebhook(webhook=a_webhook()))
        blocking.apply(SaveWebhook(webhook=a_webhook(key_id=NEXT_KEY)))

    def test_a_mark_says_whether_a_webhook_takes_messages(self, blocking: BlockingStore) -> None:
        webhook = a_webhook()
        mark = MarkWebhook(tenant_id=ACME, webhook_id=webhook.id, generation=1, failing_since=START)
        blocking.apply(mark)
        blocking.apply(SaveWebhook(webhook=webhook))
        blocking.apply(replace(mark, generation=2), replace(mark, tenant_id=GLOBEX))
        assert blocking.list_webhooks(ACME) == (webhook,)
        blocking.apply(mark)
        assert blocking.list_webhooks(ACME) == (replace(webhook, failing_since=START),)
        blocking.apply(replace(mark, failing_since=None))
        assert blocking.list_webhooks(ACME) == (webhook,)
        blocking.apply(replace(mark, off_reason="gone"))
        # It is off now: who finds that it works has an old message.
        blocking.apply(replace(mark, failing_since=None))
        assert blocking.list_webhooks(ACME) == (replace(webhook, failing_since=START, off_reason="gone"),)

    def test_a_webhook_is_removed_once_and_goes_with_its_tenant(self, blocking: BlockingStore) -> None:
        webhook, other = a_webhook(), a_webhook()
        blocking.apply(SaveWebhook(webhook=webhook), SaveWebhook(webhook=other))
        remove = RemoveWebhook(tenant_id=ACME, webhook_id=webhook.id)
        blocking.apply(remove)
        with pytest.raises(StaleWriteError):
            blocking.apply(remove)
        blocking.apply(EraseTenant(tenant_id=ACME, erased_at=START))
        assert blocking.list_webhooks(ACME) == ()
