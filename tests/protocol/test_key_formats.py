"""The forms of keys and tokens: recognised by name, checked by their checksum, warned of and never refused for that."""

from __future__ import annotations

import re
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from cloud_integrations.domain.provider import TELLING, Input, KeyFormat, Method, Present, Provider
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations.protocol.builtin_formats import BUILTIN
from cloud_integrations.protocol.foreign_formats import ELSEWHERE
from cloud_integrations.protocol.inputs import hints, normalise
from cloud_integrations.protocol.pasted_keys import require_not_foreign
from cloud_integrations.providers import Catalogue

CATALOGUE = Catalogue.builtin()
KNOWN = CATALOGUE.list_providers()
ROWS = [*BUILTIN, *ELSEWHERE]
BODY = "zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ"
"""Of the token whose checksum `0mLq17` was published with the format of npm."""


def refusal(text: str, provider: Provider) -> str | None:
    try:
        require_not_foreign(Secret(text), provider, KNOWN, field="apiKey")
    except ValidationFailedError as error:
        return error.problem.replace(text, "the text itself").partition(",")[0]
    return None


def told(provider: Provider, method_id: str, text: str, name: str | None = None) -> tuple[str, ...]:
    """What is unusual about *text* as the main input of a method."""
    method = next(each for each in provider.methods if each.id == method_id)
    main = name or next(each.name for each in method.entered_inputs if each.secret)
    found = hints(provider, method, {main: Secret(text)})
    assert text not in str(found)
    return found


def whole(checksum: str, body: str) -> tuple[KeyFormat, str]:
    """A key with the checksum of that name, made from *body* as the provider's own page or program makes it."""
    match checksum:
        case "crc32_base62":
            return KeyFormat(prefixes=("ghp_",), rest="[A-Za-z0-9]{36}", checksum="crc32_base62"), f"ghp_{body}0mLq17"
        case "crc32_hex":
            of = KeyFormat(prefixes=("glsa_",), rest="[A-Za-z0-9]{32}_[a-f0-9]{8}", checksum="crc32_hex")
            return of, "glsa_" + "iNValIdinValiDinvalidinvalidinva" + "_5b582697"
        case _:
            before, digits = f"glpat-{body}.01.0u", ""
            number = crc32(before.encode())
            while number:
                digits, number = "0123456789abcdefghijklmnopqrstuvwxyz"[number % 36] + digits, number // 36
            of = KeyFormat(prefixes=("glpat-",), rest=r"[\w-]{27,300}\.(?:[0-9a-z]{2}\.)?[0-9a-z]{9}", checksum="crc32_base36")
            return of, before + digits.rjust(7, "0")


# Whose key it is


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SG." + "a" * 22 + "." + "b" * 43, "looks like a SendGrid API key"),
        ("glpat-" + "fake" * 5, "looks like a GitLab token"),
        ("abc8Q~" + "f" * 34, "looks like a Microsoft Azure client secret"),
        ("SK" + "0af1" * 8, "looks like a Twilio API key SID"),
        ("sk-proj-" + "fake" * 10, "looks like an OpenAI API key"),
        ("sk-" + "a" * 20 + "T3BlbkFJ" + "b" * 20, "looks like an OpenAI API key"),
        ("AKIA" + "FAKE" * 4, "looks like an Amazon Web Services access key id"),
        ("0af1" * 8 + "FFFFNRAL", "looks like a New Relic license key"),
        ("fakefakefakefa.atlasv1." + "x" * 64, "looks like a Terraform token"),
        ("npm_" + "fake" * 9, "looks like an npm token"),
    ],
)
def test_another_providers_key_is_told_by_name(text: str, words: str) -> None:
    assert refusal(text, CATALOGUE.require("vultr")) == words


@pytest.mark.parametrize("text", ["SG.not-one", "SK" + "x" * 32, "SKILL", "AC" + "FAKE" * 8, "0af1" * 10, "sk-" + "fake" * 10, "EXOTIC"])
def test_a_short_beginning_alone_tells_nothing(text: str) -> None:
    assert refusal(text, CATALOGUE.require("vultr")) is None


def test_a_key_whose_end_is_cut_off_is_told_by_its_prefix() -> None:
    assert refusal("ghp_fake", CATALOGUE.require("vultr")) == "looks like a GitHub token"


def test_keys_are_told_where_the_catalogue_has_no_file_of_their_provider() -> None:
    acme = Provider(
        id="acme",
        name="Acme",
        methods=(Method(id="key", kind="key", inputs=(Input(name="key"),), present=Present(query={"k": "{value}"})),),
    )
    with pytest.raises(ValidationFailedError, match="looks like an Amazon Web Services access key id"):
        require_not_foreign(Secret("AKIA" + "FAKE" * 4), acme, [acme], field="apiKey")


@pytest.mark.parametrize("number", range(len(ROWS)))
@settings(max_examples=25)  # of each form, of which there are a hundred
@given(data=st.data())
def test_every_key_of_a_format_is_its_owners_alone(number: int, data: st.DataObject) -> None:
    row = ROWS[number]
    text = (data.draw(st.sampled_from(row.prefixes)) if row.prefixes else "") + data.draw(
        st.from_regex(re.compile(row.rest, re.ASCII), fullmatch=True)
    )
    for provider in KNOWN:
        if provider.name == row.owner:
            assert refusal(text, provider) is None
    assert re.fullmatch(rf"looks like an? {re.escape(row.owner)} [\w -]+", refusal(text, CATALOGUE.require("vultr")) or "")


def test_no_beginning_has_two_owners_and_none_hides_another() -> None:
    owners = {(prefix, row.owner) for row in ROWS for prefix in row.prefixes if len(prefix) >= TELLING}
    for prefix, name in owners:
        assert {other for beginning, other in owners if prefix.startswith(beginning)} == {name}


# Checksums


@pytest.mark.parametrize("checksum", ["crc32_base62", "crc32_base36", "crc32_hex"])
def test_each_changed_character_is_noticed(checksum: str) -> None:
    of, text = whole(checksum, BODY)
    assert of.matches(text)
    assert not of.has_wrong_checksum(text)
    start = len(of.prefixes[0])
    for at in range(start, len(text)):
        changed = text[:at] + ("1" if text[at] != "1" else "2") + text[at + 1 :]
        assert not of.matches(changed) or of.has_wrong_checksum(changed)


def test_what_has_another_form_or_no_checksum_has_no_wrong_one() -> None:
    of, text = whole("crc32_base62", BODY)
    assert not of.has_wrong_checksum(text[:-1])
    assert not of.model_copy(update={"checksum": None}).has_wrong_checksum(text[:-1] + "8")


def test_the_built_in_formats_accept_what_providers_publish() -> None:
    for slug, checksum in (("github", "crc32_base62"), ("grafana", "crc32_hex"), ("gitlab", "crc32_base36")):
        _, text = whole(checksum, BODY)
        [of] = [each for each in CATALOGUE.require(slug).formats if each.matches(text)]
        assert of.checksum == checksum
        assert not of.has_wrong_checksum(text)


# What is only warned of

GITHUB = CATALOGUE.require("github")
PAT = next(method.id for method in GITHUB.methods if method.kind == "key")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"ghp_{BODY}0mLq17", None),
        (f"ghp_{BODY}0mLq18", "does not fit its own checksum: a character is missing or changed, so copy it again"),
        (f"ghp_{BODY}0mLq1", "begins like a GitHub token and does not go on like one: a part may be missing"),
        (f"gho_{BODY}0mLq17", "looks like a GitHub token, which is something else"),
        ("fake-key", "does not look like one of this provider"),
    ],
)
def test_a_hint_says_what_may_be_wrong_and_refuses_nothing(text: str, words: str | None) -> None:
    found = told(GITHUB, PAT, text)
    assert [hint[-len(words) :] for hint in found] == [words] if words else found == ()
    assert refusal(text, GITHUB) is None


def test_another_kind_of_key_of_the_same_provider_is_named() -> None:
    stripe = CATALOGUE.require("stripe")
    [hint] = told(stripe, next(method.id for method in stripe.methods if method.kind == "key"), "whsec_" + "fake" * 8)
    assert hint.endswith("looks like a Stripe webhook secret, which is something else")


# What is pasted around a key


@pytest.mark.parametrize(
    "paste",
    [
        "Bearer {}", "bearer {}", "Authorization: Bearer {}", '"{}"', "GITHUB_TOKEN={}", 'export GITHUB_TOKEN="{}"', "set GH_TOKEN={}",
        "curl -H 'Authorization: Bearer {}' https://api.github.com/user",
        'curl -sS --header "authorization: token {}" -X GET https://api.github.com/user',
    ],
)  # fmt: skip
def test_what_people_copy_with_a_key_is_taken_away(paste: str) -> None:
    method = next(each for each in GITHUB.methods if each.id == PAT)
    main = next(each.name for each in method.entered_inputs if each.secret)
    text = f"ghp_{BODY}0mLq17"
    assert normalise(method, {main: paste.format(text)}) == {main: Secret(text)}


def test_a_command_with_two_keys_is_refused() -> None:
    method = next(each for each in GITHUB.methods if each.id == PAT)
    main = next(each.name for each in method.entered_inputs if each.secret)
    with pytest.raises(ValidationFailedError):
        normalise(method, {main: "curl -H 'Authorization: Bearer fake-1' -H 'Authorization: Bearer fake-2' https://api.github.com"})


# The field itself


@pytest.mark.parametrize("rest", ["[a-z]+", "a*", "[a-z]{3,}", "(?:ab)*"])
def test_a_format_that_repeats_without_end_is_refused(rest: str) -> None:
    with pytest.raises(ValidationError, match="without end"):
        KeyFormat(prefixes=("acme_",), rest=rest)


@pytest.mark.parametrize("rest", ["[a-z+*]{3}", r"a\+b", r"[\w.\]+-]{2,9}"])
def test_signs_inside_a_class_repeat_nothing(rest: str) -> None:
    assert KeyFormat(prefixes=("acme_",), rest=rest).rest == rest
