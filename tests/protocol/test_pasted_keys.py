"""What people paste where a key belongs: cleaned, or refused before it goes anywhere, and never repeated."""

from __future__ import annotations

import base64
import json
import re
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st
from tests.tracebacks import shown_by

from cloud_integrations.domain.entered import EnteredKey
from cloud_integrations.domain.provider import Input, KeyFormat, Method, Present, Provider
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations.kinds import input_methods
from cloud_integrations.protocol.inputs import find_input_method, normalise
from cloud_integrations.protocol.pasted_keys import find_kinds, require_not_foreign
from cloud_integrations.providers import Catalogue

KEY = "fake-test-key-value"
KEYS = {
    "rsa": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ec": ec.generate_private_key(ec.SECP256R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
}
PLAIN = serialization.NoEncryption()
LOCKED = serialization.BestAvailableEncryption(b"fake-password")
PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
TRADITIONAL, PKCS8, OPENSSH = (getattr(serialization.PrivateFormat, name) for name in ("TraditionalOpenSSL", "PKCS8", "OpenSSH"))


def written(name, encoding, form, lock=PLAIN) -> bytes:
    return KEYS[name].private_bytes(encoding, form, lock)


PEMS = [
    written("rsa", PEM, PKCS8),
    written("rsa", PEM, TRADITIONAL),
    written("ec", PEM, TRADITIONAL),
    written("ed25519", PEM, PKCS8),
    written("ed25519", PEM, OPENSSH),
    written("ec", PEM, PKCS8, LOCKED),
    b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nZmFrZQ==\n-----END PGP PRIVATE KEY BLOCK-----",
    b"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nZmFrZQ==\n---- END SSH2 ENCRYPTED PRIVATE KEY ----",
    b"PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nPrivate-Lines: 1\nZmFrZQ==",
    b"AGE-SECRET-KEY-1FAKEFAKEFAKEFAKEFAKEFAKEFAKEFAKE",
    b"<RSAKeyValue><Modulus>ZmFrZQ==</Modulus><D>ZmFrZQ==</D></RSAKeyValue>",
]
DERS = [
    written("rsa", DER, PKCS8),
    written("rsa", DER, TRADITIONAL),
    written("ec", DER, TRADITIONAL),
    written("ec", DER, PKCS8),
    written("ed25519", DER, PKCS8),
    written("ec", DER, PKCS8, LOCKED),
]
ACCOUNT = {"type": "service_account", "project_id": "fake", "private_key": PEMS[0].decode(), "client_email": "a@fake.example"}
JWK = {"kty": "OKP", "crv": "Ed25519", "x": "ZmFrZQ", "d": "ZmFrZS1wcml2YXRl"}
DOCUMENTS = [json.dumps(ACCOUNT), json.dumps(ACCOUNT, indent=2), json.dumps(JWK), json.dumps([JWK]), json.dumps(json.dumps(ACCOUNT))]
PRIVATE = [*PEMS, *DERS, *DOCUMENTS]
OTHERS = ['{"token": "fake"}', '{\n  "clientId": "fake", "clientSecret": "fake"\n}', '[{"apikey": "fake"}]', json.dumps('{"a": 1}')]


def wrapped(text: bytes | str) -> list[str]:
    """The ways in which one and the same thing is pasted."""
    data = text if isinstance(text, bytes) else text.encode()
    plain = data.decode("latin-1")
    coded = base64.b64encode(data).decode()
    lines = "\n".join(coded[start : start + 64] for start in range(0, len(coded), 64))
    return [
        *([plain, f"\ufeff {plain}\n", plain.replace("\n", "\\n"), plain.replace("\n", " "), quote(plain)] if data.isascii() else []),
        *([data.decode().encode("utf-16").decode("latin-1")] if data.isascii() else []),
        coded,
        lines,
        f'"{coded}"',
        base64.urlsafe_b64encode(data).decode().rstrip("="),
        base64.b64encode(coded.encode()).decode(),
        quote(coded, safe=""),
        f"tls.key: {coded}",
        f"KEY={coded}",
        f"data:application/octet-stream;base64,{coded}",
        data.hex(),
    ]


def one_key(**facts) -> Provider:
    present = {"query": {"token": "{value}"}}
    method = {"id": "key", "kind": "key", "inputs": [{"name": "token", "label": "API token", **facts}], "present": present}
    return Provider.model_validate({"id": "acme", "name": "Acme", "methods": [method]})


@pytest.mark.requirement("OAU-080")
@pytest.mark.parametrize("number", range(len(PRIVATE)))
def test_a_private_key_is_refused_in_every_dress(number) -> None:
    for text in wrapped(PRIVATE[number]):
        assert "private_key" in find_kinds(text)
        with pytest.raises(ValidationFailedError) as caught:
            normalise(one_key().methods[0], {"token": text})
        assert caught.value.field == "credentials.token"
        assert caught.value.problem == "looks like a private key, and nothing was sent or stored; enter the API token itself"
        assert text[:30] not in str(caught.value)


def test_a_private_key_that_was_copied_in_part_is_one() -> None:
    for data in DERS:
        assert find_kinds(base64.b64encode(data).decode()[:60]) == ("private_key",)
    assert find_kinds(PEMS[0].decode()[:40]) == ("private_key",)


def test_however_long_the_text_is_it_is_soon_looked_at() -> None:
    assert find_kinds("%" * 10_000_000) == ()
    assert find_kinds("-----BEGIN PRIVATE KEY-----" + "A" * 10_000_000) == ("private_key",)


@pytest.mark.requirement("OAU-080")
@pytest.mark.parametrize("number", range(5))
def test_part_of_a_private_key_is_one(number) -> None:
    lines = PEMS[number].decode().splitlines()
    for part in (lines[:-1], lines[1:], ["".join(lines[1:-1])[:48]], ["BEGIN PRIVATE KEY-----", *lines[1:2]]):
        assert find_kinds("\n".join(part)) == ("private_key",)


@pytest.mark.requirement("ENC-18")
@pytest.mark.parametrize("pasted", [PEMS[0].decode(), f"{KEY} {KEY}", f"{KEY}é", KEY * 1000, f"ghp_{KEY}"])
def test_no_frame_of_a_refusal_holds_what_was_pasted(pasted) -> None:
    def enter() -> None:
        inputs = normalise(one_key().methods[0], {"token": Secret(pasted)})
        require_not_foreign(inputs["token"], one_key(), KNOWN, field="apiKey")

    with pytest.raises(ValidationFailedError) as caught:
        enter()
    assert pasted[:20] not in shown_by(caught.value)


@pytest.mark.parametrize("text", OTHERS)
def test_a_json_file_is_refused(text) -> None:
    with pytest.raises(ValidationFailedError, match="looks like a JSON file, and nothing was sent or stored; enter the API token"):
        normalise(one_key().methods[0], {"token": text})


def test_who_asks_for_a_file_or_a_private_key_gets_it() -> None:
    for form, text in (("pem", PEMS[0].decode()), ("json", DOCUMENTS[0]), ("json", DOCUMENTS[1]), ("json", '{"type": "other"}')):
        method = one_key(form=form).methods[0]
        assert normalise(method, {"token": f"{text}\n"}) == {"token": Secret(text.strip())}


def test_who_asks_for_a_private_key_gets_no_document() -> None:
    method = one_key(form="pem").methods[0]
    with pytest.raises(ValidationFailedError, match="JSON"):
        normalise(method, {"token": DOCUMENTS[0]})
    with pytest.raises(ValidationFailedError, match="must be in PEM"):
        normalise(method, {"token": KEY})


PUBLIC = [
    KEYS["rsa"].public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode(),
    base64.b64encode(KEYS["ec"].public_key().public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo)).decode(),
    KEYS["ed25519"].public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode(),
]


HARMLESS = [
    KEY,
    *PUBLIC,
    base64.b64encode(b'{"k":"fake","n":"name","id":1,"more":"so that it is long enough"}').decode(),
    "eyJhbGciOiJub25lIn0.eyJzdWIiOiJmYWtlIn0.fake",
    "{3f2504e0-4f89-11d3-9a0c-0305e82c3301}",
    "0" * 64,
    "MII" + "A" * 61,
    "MA" + "A" * 62,
    base64.b64encode(b"\x30\x84" + bytes(40)).decode(),
    "a" * 41,
]


@pytest.mark.parametrize("number", range(len(HARMLESS)))
def test_what_is_no_private_key_and_no_file_is_not_taken_for_one(number) -> None:
    assert find_kinds(HARMLESS[number]) == ()


@given(st.binary(min_size=1, max_size=96))
def test_no_random_key_is_refused(data) -> None:
    for text in (data.hex(), base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()):
        method = one_key(normalise=["strip"]).methods[0]
        assert normalise(method, {"token": text}) == {"token": Secret(text)}


@given(st.text(max_size=200))
def test_whatever_comes_is_cleaned_or_refused_without_repeating_it(text) -> None:
    try:
        found = normalise(one_key().methods[0], {"token": text})["token"].reveal()
    except ValidationFailedError as error:
        refused = error
    else:
        assert found
        assert found in text
        assert found.isascii()
        assert not any(char.isspace() for char in found)
        return
    assert refused.field == "credentials.token"


# Cleaned


@pytest.mark.parametrize(
    "pasted",
    [
        f"Bearer {KEY}",
        f"bearer   {KEY}\n",
        f"Authorization: Bearer {KEY}",
        f"authorization:Bearer {KEY}\r\n",
        f"-H 'Authorization: Bearer {KEY}'",
        f'--header "Authorization: Bearer {KEY}"',
        f"Token {KEY}",
        f"SSWS {KEY}",
        f"PRIVATE-TOKEN: {KEY}",
        f"token={KEY}",
        f"token: {KEY}",
        f"API key: {KEY}",
        f"api_key = '{KEY}'",
        f"access-token={KEY}",
        f"export ACME_TOKEN={KEY}",
        f'export ACME_TOKEN="{KEY}"\n',
        f"set ACME_TOKEN={KEY}",
        f"$env:ACME_TOKEN = '{KEY}'",
        f"ACME_TOKEN={KEY}",
        f"“{KEY}”",
        f"‘{KEY}’",
        f"\ufeff{KEY}\u200b",
        f"\xa0{KEY}\u2003\n\n",
    ],
)
def test_what_stands_around_a_pasted_key_goes(pasted) -> None:
    present = Present(headers={"Authorization": "SSWS {value}", "PRIVATE-TOKEN": "{value}"})
    method = Method(id="key", kind="key", inputs=(Input(name="token"),), present=present)
    assert normalise(method, {"token": pasted}) == {"token": Secret(KEY)}


@pytest.mark.parametrize("key", ["abcdef==", "ABC_DEF=", "ABC_DEF==", "key", "token", "Bearer", "a=b", "x:y", "AB_CD=ab=", "token="])
def test_a_key_with_signs_of_its_own_stays_whole(key) -> None:
    assert normalise(one_key().methods[0], {"token": key}) == {"token": Secret(key)}


def test_a_key_of_the_form_that_the_provider_describes_is_left_alone() -> None:
    own = one_key(patterns=["token=[a-z]+"]).methods[0]
    assert normalise(own, {"token": "token=fake"}) == {"token": Secret("token=fake")}
    assert normalise(own, {"token": "Bearer token=fake"}) == {"token": Secret("token=fake")}


def test_a_password_is_taken_as_it_is() -> None:
    method = one_key(normalise=[], spaces=True).methods[0]
    assert normalise(method, {"token": " token=my fake words"}) == {"token": Secret(" token=my fake words")}


@pytest.mark.parametrize("pasted", [f"{KEY} {KEY}", f"{KEY}\n{KEY}", f"fake\t{KEY}", f"Basic {KEY}", f"curl -H x {KEY}"])
def test_white_space_inside_a_key_refuses_it(pasted) -> None:
    with pytest.raises(ValidationFailedError) as caught:
        normalise(one_key().methods[0], {"token": pasted})
    assert caught.value.field == "credentials.token"
    assert KEY not in str(caught.value)


def test_the_way_by_key_is_found_from_what_was_pasted() -> None:
    cloudflare = Catalogue.builtin().require("cloudflare")
    key = "cfat_" + "a" * 48
    method = find_input_method(
        cloudflare, input_methods(cloudflare), EnteredKey(api_key=Secret(f"Bearer {key}")), variables={"account_id": "a" * 32}
    )
    assert method.id == "account_api_token"


# Another provider's

KNOWN = Catalogue.builtin().list_providers()
FOREIGN = [
    ("ghp_", "GitHub"),
    ("github_pat_", "GitHub"),
    ("dop_v1_", "DigitalOcean"),
    ("glpat-", "GitLab"),
    ("AIza", "Google Cloud"),
    ("xoxb-", "Slack"),
    ("cfut_", "Cloudflare"),
    ("AKIA", "Amazon Web Services"),
    ("sk_live_", "Stripe"),
    ("dp.st.", "Doppler"),
    ("dckr_pat_", "Docker Hub"),
    ("sk-ant-api03-", "Anthropic"),
    ("sk-proj-", "OpenAI"),
    ("glc_eyJ", "Grafana Cloud"),
    ("lin_api_", "Linear"),
    ("ntn_", "Notion"),
    ("pat-eu1-", "HubSpot"),
    ("sbp_", "Supabase"),
    ("CCIPAT_", "CircleCI"),
    ("pul-", "Pulumi Cloud"),
    ("tskey-client-", "Tailscale"),
    ("rk_test_", "Stripe"),
    ("hvs.", "Vault"),
]


@pytest.mark.parametrize(("prefix", "owner"), FOREIGN)
def test_another_providers_key_is_refused(prefix, owner) -> None:
    for provider in KNOWN:
        if provider.name == owner:
            require_not_foreign(Secret(f"{prefix}{KEY}"), provider, KNOWN, field="apiKey")
            continue
        with pytest.raises(ValidationFailedError) as caught:
            require_not_foreign(Secret(f"{prefix}{KEY}"), provider, KNOWN, field="apiKey")
        assert caught.value.field == "apiKey"
        assert re.fullmatch(
            rf"looks like an? {owner} [\w -]+, and nothing was sent or stored; enter one of {re.escape(provider.name)}",
            caught.value.problem,
        )
        assert KEY not in str(caught.value)


def test_a_form_that_fits_many_keys_makes_none_its_own() -> None:
    cloudflare = Catalogue.builtin().require("cloudflare")
    for key, owner in ((f"ghp_{'A' * 36}", "GitHub"), (f"npm_{'A' * 36}", "npm")):
        with pytest.raises(ValidationFailedError, match=f"looks like an? {owner} token"):
            require_not_foreign(Secret(key), cloudflare, KNOWN, field="apiKey")


def test_a_provider_without_prefixes_takes_the_keys_that_bear_its_name() -> None:
    for name in ("Vault", "HashiCorp Vault", "vault"):
        require_not_foreign(Secret(f"hvs.{KEY}"), one_key().model_copy(update={"name": name}), KNOWN, field="apiKey")


def test_a_key_is_its_own_by_the_providers_data() -> None:
    by_prefix = one_key().model_copy(update={"formats": (KeyFormat(prefixes=("ghp_",), rest="x"),)})
    by_form = one_key(patterns=["ghp_.+"])
    for provider in (by_prefix, by_form):
        require_not_foreign(Secret(f"ghp_{KEY}"), provider, KNOWN, field="apiKey")
    own = by_prefix.model_copy(update={"formats": (KeyFormat(prefixes=("acme_",), rest="x"),)})
    with pytest.raises(ValidationFailedError, match="looks like an Acme token"):
        require_not_foreign(Secret(f"acme_{KEY}"), KNOWN[0], (*KNOWN, own), field="apiKey")
