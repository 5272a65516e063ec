"""What a store promises about tenants' own OAuth applications."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest

from cloud_integrations.domain.identifiers import ContextId
from cloud_integrations.errors import KeyRetiredError, StaleWriteError
from cloud_integrations.ports.store import AddIntegration, EraseIntegration, EraseTenant, RemoveApplication, SaveApplication
from cloud_integrations.testing.clock import START
from cloud_integrations.testing.contracts.store.base import BlockingStore, Contract, refused
from cloud_integrations.testing.contracts.store.values import (
    ACME,
    CONTEXT,
    GLOBEX,
    NEXT_KEY,
    SECOND,
    a_credential,
    an_application,
    an_integration,
    applying,
    changed_application,
    rotated,
)


class ApplicationsContract(Contract):
    """Storing, changing and removing them."""

    def test_an_application_is_listed_as_it_was_saved(self, blocking: BlockingStore) -> None:
        full, bare = an_application(), an_application(scopes=(), client_auth=None, issuer=None, variables={}, secrets=0)
        for application in (full, bare):
            blocking.apply(SaveApplication(application=application))
            assert blocking.list_applications(ACME) == (application,)
            change = RemoveApplication(tenant_id=ACME, application_id=application.facts.id, expected_generation=1)
            blocking.apply(change)
            assert blocking.list_applications(ACME) == ()

    def test_the_newest_is_listed_first(self, blocking: BlockingStore) -> None:
        older = an_application()
        newer = an_application(id=ContextId(uuid4()), created_at=START + SECOND)
        blocking.apply(SaveApplication(application=newer), SaveApplication(application=older))
        assert blocking.list_applications(ACME) == (newer, older)

    @pytest.mark.requirement("ISO-01")
    def test_tenants_have_their_own(self, blocking: BlockingStore) -> None:
        # The same id on purpose.
        ours, theirs = an_application(), an_application(GLOBEX)
        blocking.apply(SaveApplication(application=ours), SaveApplication(application=theirs))
        assert blocking.list_applications(GLOBEX) == (theirs,)
        blocking.apply(RemoveApplication(tenant_id=GLOBEX, application_id=CONTEXT, expected_generation=1))
        assert blocking.list_applications(ACME) == (ours,)

    def test_a_change_replaces_the_generation_before(self, blocking: BlockingStore) -> None:
        first = an_application()
        second = changed_application(first)
        blocking.apply(SaveApplication(application=first))
        blocking.apply(SaveApplication(application=second))
        assert blocking.list_applications(ACME) == (second,)
        for stale in (first, second, replace(second, generation=4)):
            with pytest.raises(StaleWriteError):
                blocking.apply(SaveApplication(application=stale))
        assert blocking.list_applications(ACME) == (second,)

    def test_one_of_two_changes_at_once_is_made(self, blocking: BlockingStore) -> None:
        first = an_application()
        blocking.apply(SaveApplication(application=first))
        calls = [applying(SaveApplication(application=changed_application(first, client_auth=way))) for way in ("basic", "post")]
        assert len(refused(blocking.together(calls))) == 1
        assert blocking.list_applications(ACME)[0].generation == 2

    @pytest.mark.requirement("ENC-10")
    def test_it_is_sealed_under_the_active_key(self, blocking: BlockingStore) -> None:
        blocking.apply(rotated())
        with pytest.raises(KeyRetiredError):
            blocking.apply(SaveApplication(application=an_application()))
        blocking.apply(SaveApplication(application=replace(an_application(), key_id=NEXT_KEY)))

    def test_an_application_that_a_grant_was_issued_to_stays(self, blocking: BlockingStore) -> None:
        facts = an_integration()
        blocking.apply(SaveApplication(application=an_application()), AddIntegration(facts=facts, credential=a_credential()))
        change = RemoveApplication(tenant_id=ACME, application_id=CONTEXT, expected_generation=1)
        with pytest.raises(StaleWriteError):
            blocking.apply(change)
        blocking.apply(EraseIntegration(tenant_id=ACME, integration_id=facts.id, expected_generation=1))
        blocking.apply(change)
        assert blocking.list_applications(ACME) == ()

    def test_a_removal_that_came_too_late_is_refused(self, blocking: BlockingStore) -> None:
        first = an_application()
        change = RemoveApplication(tenant_id=ACME, application_id=CONTEXT, expected_generation=1)
        with pytest.raises(StaleWriteError):
            blocking.apply(change)
        blocking.apply(SaveApplication(application=first))
        blocking.apply(SaveApplication(application=changed_application(first)))
        with pytest.raises(StaleWriteError):
            blocking.apply(change)

    @pytest.mark.requirement("ENC-14")
    def test_an_erased_tenant_has_none(self, blocking: BlockingStore) -> None:
        blocking.apply(SaveApplication(application=an_application()), SaveApplication(application=an_application(GLOBEX)))
        blocking.apply(EraseTenant(tenant_id=ACME, erased_at=START + SECOND))
        assert blocking.list_applications(ACME) == ()
        assert len(blocking.list_applications(GLOBEX)) == 1
