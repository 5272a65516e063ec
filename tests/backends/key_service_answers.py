"""What a key service may answer, and that nothing secret is shown: the cases once, for every service its own answers.

Inherit a class in a service's tests.  `keys` and `make` are fixtures of the service; `make` takes names of keys.  `service` is one of:

    uri(name)       the URI by which the key of that name is known
    answer(*args)   what the service answers from now on, as a table of the class has it
    once(*answers)  what it answers to the next requests
    recover()       answers as it should
    asked()         how many requests have come
    stop()          it is gone
    shows(shown)    whether a key, or what opens the service, is in there
    sent(wrapped)   as what a wrapped key goes over the wire
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import pytest
from tests.backends.named_keys import wrap
from tests.tracebacks import shown_by, shown_by_copies

from cloud_integrations.errors import DecryptError, KeyringError, KeyServiceUnavailableError, SealingError
from cloud_integrations.testing.contracts.key_service import DATA_KEY, KEY_ID, wrap_for_test


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What one service may answer, each case by its id; an answer is what `service.answer` takes."""

    refusals: dict[Any, tuple[tuple[Any, ...], str]]
    """An answer that names what the operator must mend, and the sentence that says so."""
    outages: dict[Any, tuple[tuple[Any, ...], int]]
    """An answer of "not now", and how many times it is asked for."""
    not_of_the_row: dict[Any, tuple[Any, ...]]
    """An answer to unwrap that is not of this row."""
    impossible: dict[Any, Callable[[bytes], bytes]]
    """How a wrapped key is changed to one that the service cannot have made."""
    unreadable_wrappings: dict[Any, tuple[Any, ...]] = field(default_factory=dict)
    unreadable_unwrappings: dict[Any, tuple[Any, ...]] = field(default_factory=dict)
    short_outages: dict[Any, tuple[Any, ...]] = field(default_factory=dict)


class _Table:
    """Gives each test that asks for a `case_of_…` the cases of that name."""

    answers: ClassVar[Answers]

    def pytest_generate_tests(self, metafunc):
        for argument in metafunc.fixturenames:
            if argument.startswith("case_of_"):
                table = getattr(self.answers, argument.removeprefix("case_of_"))
                metafunc.parametrize(argument, table.values(), ids=map(str, table))


class AnswersContract(_Table):
    """For services that are asked over a network."""

    def test_a_refusal_is_named_without_the_services_words(self, keys, service, case_of_refusals):
        answer, sentence = case_of_refusals
        row = wrap_for_test(keys)
        service.answer(*answer)
        for call in (lambda: wrap_for_test(keys), lambda: keys.unwrap(row)):
            with pytest.raises(KeyringError, match=sentence) as caught:
                call()
            assert service.uri("ci") in str(caught.value)
            assert "words" not in shown_by(caught.value)

    @pytest.mark.requirement("ENC-15")
    def test_an_answer_of_not_now_is_an_outage_after_few_tries(self, keys, service, case_of_outages):
        answer, tries = case_of_outages
        row = wrap_for_test(keys)
        service.answer(*answer)
        for call in (lambda: wrap_for_test(keys), lambda: keys.unwrap(row)):
            asked = service.asked()
            with pytest.raises(KeyServiceUnavailableError) as caught:
                call()
            assert service.asked() - asked == tries
            assert "right now" in str(caught.value)
            assert "words" not in shown_by(caught.value)
        service.recover()
        assert keys.unwrap(row) == DATA_KEY

    @pytest.mark.requirement("ENC-15")
    def test_a_service_that_is_gone_is_an_outage(self, keys, service):
        row = wrap_for_test(keys)
        service.stop()
        for call in (lambda: wrap_for_test(keys), lambda: keys.unwrap(row)):
            with pytest.raises(KeyServiceUnavailableError):
                call()

    @pytest.mark.requirement("ENC-09")
    def test_an_answer_that_is_not_of_this_row_does_not_unwrap(self, keys, service, case_of_not_of_the_row):
        row = wrap_for_test(keys)
        service.answer(*case_of_not_of_the_row)
        with pytest.raises(DecryptError) as caught:
            keys.unwrap(row)
        assert "does not open" in str(caught.value)
        assert "words" not in shown_by(caught.value)
        assert not service.shows(shown_by(caught.value))

    def test_what_the_service_cannot_have_made_is_not_sent_there(self, keys, service, case_of_impossible):
        row = wrap_for_test(keys)
        asked = service.asked()
        with pytest.raises(DecryptError):
            keys.unwrap(replace(row, wrapped=case_of_impossible(row.wrapped)))
        assert service.asked() == asked

    def test_a_key_that_is_not_listed_is_never_asked(self, make, service):
        row = wrap_for_test(make("strange"))
        asked = service.asked()
        with pytest.raises(KeyringError, match=r"is not among the keys of .+ that are set up") as caught:
            make("ci", "old").unwrap(row)
        assert service.uri("strange") in str(caught.value)
        assert service.asked() == asked


class UnreadableAnswersContract(_Table):
    """For services whose answers are text."""

    @pytest.mark.requirement("ENC-15")
    def test_a_wrapping_that_cannot_be_read_is_an_outage(self, keys, service, case_of_unreadable_wrappings):
        service.answer(*case_of_unreadable_wrappings)
        with pytest.raises(KeyServiceUnavailableError):
            wrap_for_test(keys)

    @pytest.mark.requirement("ENC-15")
    def test_an_unwrapping_that_cannot_be_read_is_an_outage(self, keys, service, case_of_unreadable_unwrappings):
        row = wrap_for_test(keys)
        service.answer(*case_of_unreadable_unwrappings)
        with pytest.raises(KeyServiceUnavailableError):
            keys.unwrap(row)


class ShortOutagesContract(_Table):
    """For services that are asked again."""

    @pytest.mark.requirement("ENC-15")
    def test_a_short_outage_is_not_noticed(self, keys, service, case_of_short_outages):
        service.once(*case_of_short_outages)
        row = wrap_for_test(keys)
        service.once(*case_of_short_outages)
        assert keys.unwrap(row) == DATA_KEY


class NothingIsShownContract:
    """For all services; `type_name` is the class of `keys`."""

    type_name: ClassVar[str]
    failing_answers: ClassVar[tuple[tuple[Any, ...], ...]] = ()
    """Answers to which neither wrap nor unwrap gives a key."""

    @pytest.fixture
    def other_failures(self):
        """Give further (error, call) that only this service has."""
        return []

    def test_it_waits_and_names_its_keys(self, make, service):
        keys = make("ci", "old")
        assert keys.waits
        assert [ref.kek_uri for ref in keys.keks()] == [service.uri("ci"), service.uri("old")]
        assert keys.primary("acme").kek_uri == service.uri("ci")

    def test_a_row_whose_tenant_is_no_text_does_not_unwrap(self, keys):
        with pytest.raises(DecryptError):
            keys.unwrap(replace(wrap_for_test(keys), tenant_id="\ud800"))

    @pytest.mark.requirement("ENC-18")
    def test_it_shows_its_uris_and_is_never_copied_or_pickled(self, make, service):
        keys = make("ci", "old")
        assert repr(keys) == str(keys) == f"{self.type_name}({service.uri('ci')}, {service.uri('old')})"
        assert not service.shows(shown_by_copies(keys))

    @pytest.mark.requirement("ENC-18")
    def test_no_failed_call_shows_a_key_or_what_opens_the_service(self, keys, make, service, other_failures):
        row = wrap_for_test(keys)
        errors = []

        def fails(kind, call):
            with pytest.raises(kind) as caught:
                call()
            errors.append(caught.value)

        fails(SealingError, lambda: keys.wrap(DATA_KEY + b".", tenant_id="tenant-a", key_id=KEY_ID, version=1))
        fails(SealingError, lambda: keys.wrap(DATA_KEY, tenant_id="\ud800", key_id=KEY_ID, version=1))
        fails(DecryptError, lambda: keys.unwrap(replace(row, version=2)))
        fails(KeyringError, lambda: make("strange").unwrap(row))
        for answer in self.failing_answers:
            service.answer(*answer)
            fails((KeyringError, KeyServiceUnavailableError), lambda: wrap(keys))
            fails((KeyringError, KeyServiceUnavailableError, DecryptError), lambda: keys.unwrap(row))
        service.recover()
        for kind, call in other_failures:
            fails(kind, call)
        service.stop()
        fails(KeyServiceUnavailableError, lambda: wrap(keys))
        fails(KeyServiceUnavailableError, lambda: keys.unwrap(row))
        for error in errors:
            assert "wrap {" in shown_by(error)
            assert not service.shows(shown_by(error))

    @pytest.mark.requirement("ENC-18")
    def test_no_log_of_any_library_shows_a_key_or_what_opens_the_service(self, keys, service, caplog, capfd):
        caplog.set_level(logging.DEBUG)
        for name in list(logging.root.manager.loggerDict):
            caplog.set_level(logging.DEBUG, logger=name)
        row = wrap_for_test(keys)
        keys.unwrap(row)
        with pytest.raises(DecryptError):
            keys.unwrap(replace(row, version=2))
        for answer in self.failing_answers:
            service.answer(*answer)
            with pytest.raises((KeyringError, KeyServiceUnavailableError, DecryptError)):
                keys.unwrap(row)
        shown = "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
        assert not service.shows(shown)
        assert not service.shows(capfd.readouterr())
        assert service.sent(row.wrapped) not in shown
