"""The address, the subjects and the documents of our own issuer."""

from __future__ import annotations

import base64

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cloud_integrations.domain.identifiers import tenant_id
from cloud_integrations.domain.issuing import (
    LONGEST_SUBJECT,
    PublicSigningKey,
    check_issuer_url,
    configuration_document,
    is_local,
    key_set_document,
    subject_of,
)
from cloud_integrations.errors import ConfigurationError, ValidationFailedError

IDS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=LONGEST_SUBJECT - len("tenant:"))


@pytest.mark.parametrize(
    "url",
    [
        "https://app.example.com",
        "https://app.example.com/identity/v1",
        "https://app.example.com:8443/a_b~c.d-e",
        "http://127.0.0.1:8000",
        "http://localhost",
        "http://[::1]:8000/x",
    ],
)
def test_an_address_thnew_keys_can_compare_is_accepted(url):
    assert check_issuer_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        None,
        5,
        "app.example.com",
        "http://app.example.com",
        "http://127.0.0.1.example.com",
        "ftp://app.example.com",
        "https://",
        "https://App.example.com",
        "https://app.example.com/",
        "https://app.example.com/a/",
        "https://app.example.com//a",
        "https://app.example.com/a/../b",
        "https://app.example.com/./b",
        "https://app.example.com?a=b",
        "https://app.example.com#a",
        "https://fake-user@app.example.com",
        "https://app.example.com/%61",
        "https://app.example.com\n",
        "https://äpp.example.com",
        "https://app.example.com/" + "a" * 255,
    ],
    ids=repr,
)
def test_any_other_address_is_refused_without_repeating_it(url):
    with pytest.raises(ConfigurationError) as caught:
        check_issuer_url(url)
    assert caught.value.setting == "issuer.url"
    assert "example.com" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "local"),
    [("http://127.0.0.1:1", True), ("https://localhost/a", True), ("http://[::1]:1", True), ("https://a.example", False)],
)
def test_a_loopback_address_is_local(url, local):
    assert is_local(url) is local


@pytest.mark.requirement("OAU-066")
@given(IDS, IDS)
def test_two_tenants_never_have_one_subject(one, other):
    assume(one != other)
    assert subject_of(tenant_id(one)) != subject_of(tenant_id(other))


@given(IDS)
def test_a_subject_is_the_whole_tenant_id(text):
    assert subject_of(tenant_id(text)) == f"tenant:{text}"


@pytest.mark.parametrize(("longest", "fits"), [(None, 248), (255, 248), (127, 120), (600, 248)])
def test_a_subject_is_refused_and_never_shortened(longest, fits):
    assert len(subject_of(tenant_id("a" * fits), longest=longest)) == fits + len("tenant:")
    with pytest.raises(ValidationFailedError, match=f"at most {fits} characters") as caught:
        subject_of(tenant_id("a" * (fits + 1)), longest=longest)
    assert caught.value.field == "tenantId"


@pytest.mark.parametrize("text", ["é", "e\u0301", "аcme", "acme\u200d", "ｆullwidth"])  # letters that look alike
def test_a_tenant_id_that_is_not_ascii_is_no_subject(text):
    try:
        tenant = tenant_id(text)
    except ValidationFailedError:
        return  # it is no tenant id at all
    with pytest.raises(ValidationFailedError, match="must be ASCII"):
        subject_of(tenant)


def test_the_documents_hold_nothing_but_public_facts():
    url = "https://app.example.com/identity"
    assert configuration_document(url) == {
        "issuer": url,
        "jwks_uri": f"{url}/.well-known/jwks.json",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "claims_supported": ["iss", "sub", "aud", "iat", "exp", "jti"],
    }
    key = PublicSigningKey(modulus=(1 << 2047) + 1, exponent=65537)
    assert key.bits == 2048
    assert key_set_document([key]) == {
        "keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": key.key_id, "n": key.as_jwk()["n"], "e": "AQAB"}]
    }


def test_a_thumbprint_is_that_of_the_rfc():
    # RFC 7638 §3.1.
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3ok"
        "njhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu"
        "6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8a"
        "wapJzKnqDKgw"
    )
    modulus = int.from_bytes(base64.urlsafe_b64decode(n + "=="))
    assert PublicSigningKey(modulus=modulus, exponent=65537).key_id == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
