from __future__ import annotations

import copy
import dataclasses
import json
import logging
import pickle
import traceback

import pydantic
import pytest

from cloud_integrations.domain.secret import Secret

CANARY = "fake-secret-canary"


class Form(pydantic.BaseModel):
    api_key: Secret


@pytest.mark.requirement("ENC-18")
@pytest.mark.parametrize("show", [repr, str, format, ascii])
def test_a_secret_shows_nothing(show):
    for text in (show(Secret(CANARY)), f"{Secret(CANARY):>40}", f"{Secret(CANARY)!r:>40}", repr([Secret(CANARY)])):
        assert CANARY not in text


def test_half_a_character_can_be_compared():
    half = Secret(f"{CANARY}\udc00")
    assert half == Secret(f"{CANARY}\udc00")
    assert half != Secret(CANARY)


def test_revealing_gives_the_text():
    assert Secret(CANARY).reveal() == CANARY


@pytest.mark.requirement("ENC-18")
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_is_not_pickled(protocol):
    with pytest.raises(TypeError):
        pickle.dumps(Secret(CANARY), protocol)


@pytest.mark.requirement("ENC-18")
def test_copying_a_secret_makes_no_second_one():
    secret = Secret(CANARY)
    assert copy.copy(secret) is secret
    assert copy.deepcopy({"a": secret})["a"] is secret


@pytest.mark.requirement("ENC-18")
def test_dumps_hold_a_placeholder():
    @dataclasses.dataclass
    class Holder:
        secret: Secret

    form = Form(api_key=CANARY)
    assert form.api_key.reveal() == CANARY
    assert Form(api_key=form.api_key).api_key is form.api_key
    for dump in (form, form.model_dump(), form.model_dump(mode="json"), form.model_dump_json(), dataclasses.asdict(Holder(Secret(CANARY)))):
        assert CANARY not in str(dump)
    with pytest.raises(TypeError):
        json.dumps(Secret(CANARY))
    with pytest.raises(TypeError):
        vars(Secret(CANARY))


def test_the_schema_says_that_it_is_written_and_never_read():
    assert Form.model_json_schema()["properties"]["api_key"] == {
        "format": "password",
        "title": "Api Key",
        "type": "string",
        "writeOnly": True,
    }


def test_only_text_becomes_a_secret():
    with pytest.raises(pydantic.ValidationError):
        Form(api_key=7)
    with pytest.raises(TypeError):
        Secret(b"fake")


@pytest.mark.requirement("ENC-18")
def test_logs_errors_and_tracebacks_with_locals_show_nothing(caplog):
    secret = Secret(CANARY)
    caplog.set_level(logging.DEBUG)
    try:
        int(secret)
    except TypeError as error:
        logging.getLogger("test").exception("with %s and %r", secret, [secret])
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "secret = Secret(…)" in shown
    assert CANARY not in shown + caplog.text


def test_two_secrets_are_equal_when_their_texts_are():
    assert Secret("fake-ü") == Secret("fake-ü")
    assert Secret("fake") != Secret("fake2")
    assert Secret("fake") != "fake"


def test_a_secret_is_not_hashed():
    with pytest.raises(TypeError):
        hash(Secret(CANARY))


def test_an_empty_secret_is_false():
    assert not Secret("")
    assert Secret(CANARY)
