"""HTTP signatures, against the test values of the draft and what Oracle's own library made."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from cloud_integrations.errors import ConfigurationError, ValidationFailedError

from .signing_cases import SAMPLES, TEST_PEM, authorization, problems, sign, signature

PASSPHRASE = "fake-passphrase"


def as_pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, passphrase: str = "") -> str:
    encryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


def load_test_key() -> rsa.RSAPrivateKey:
    key = load_pem_private_key(TEST_PEM.encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (
            "date",
            (
                "SjWJWbWN7i0wzBvtPl8rbASWz5xQW6mcJmn+ibttBqtifLN7Sazz6m79cNfwwb8DMJ5cou1s7uEGKKCs+FLEEaDV5lp7q25WqS+lavg7T8hc0GppauB6hbgEKTwblDHY"
                "GEtbGmtdHgVCk9SuS13F0hZ8FD0k/5OxEPXe5WozsbM="
            ),
        ),
        (
            "(request-target) host date",
            (
                "qdx+H7PHHDZgy4y/Ahn9Tny9V3GP6YgBPyUXMmoxWtLbHpUnXS2mg2+SbrQDMCJypxBLSPQR2aAjn7ndmw2iicw3HMbe8VfEdKFYRqzic+efkb3nndiv/x1xSHDJWeSW"
                "kx3ButlYSuBskLu6kd9Fswtemr3lgdDEmn04swr2Os0="
            ),
        ),
        (
            "(request-target) host date content-type digest content-length",
            (
                "vSdrb+dS3EceC9bcwHSo4MlyKS59iFIrhgYkz8+oVLEEzmYZZvRs8rgOp+63LEM3v+MFHB32NfpB2bEKBIvB1q52LaEUHFv120V01IL+TAD48XaERZFukWgHoBTLMhYS"
                "2Gb51gWxpeIq8knRmPnYePbF5MOkR0Zkly4zKH7s1dE="
            ),
        ),
    ],
)
def test_the_test_values_of_the_draft(headers: str, expected: str) -> None:
    """draft-cavage-http-signatures-08, appendix C.1 to C.3."""
    signed = sign(
        "http_signature",
        url="https://example.com/foo?param=value&pet=dog",
        headers={"Content-Type": "application/json"},
        body=b'{"hello": "world"}',
        parts={"key_id": "Test", "private_key": TEST_PEM},
        options={"headers": headers, "body_headers": ""},
        now=datetime(2014, 1, 5, 21, 31, 40, tzinfo=UTC),
    )
    fields = f'algorithm="rsa-sha256",headers="{headers}",keyId="Test",signature="{expected}",version="1"'
    assert authorization(signed) == f"Signature {fields}"


@pytest.mark.parametrize(
    ("method", "target", "headers", "body", "expected"),
    [
        (
            "GET",
            "/20160918/users/ocid1.user.oc1..fake",
            {},
            b"",
            (
                "H9C02jlivCNbqubMkey1rV3/y/kPlKpG7QWftCkGsTjZDfSS6FSLsUfn/arfeN+UWCN0Edg14Q2KpiuTlrhCCN"
                "vCLyQEdk8asW5s//NvzMbvufCSkC9VvSTat9UdzZmZlMiCtwJz/k5e3LX6LRlZdeWza9N+0lkL5x2klN6tCbA="
            ),
        ),
        (
            "GET",
            "/20160918/instances?availabilityDomain=Pjwf%3A%20PHX-AD-1&a=2&a=1&b=",
            {},
            b"",
            (
                "LfrIhIaWLF/K1jfS/00D61ffvGbNOUQHNs9YFhBpRdESXPbJcWvQoqA3VlpoH5rZ+HxC4u5Rgtd4+R93NeUrws"
                "Hmsz0dnQje3w2E99lIElRz3IBBv+ROubGj2muOoUlb8iPXaa9Z/hU6SSvwUeeZ7V/F5fWQ8DV0Lm453aJijRU="
            ),
        ),
        (
            "DELETE",
            "/20160918/instances/1",
            {},
            b"",
            (
                "rKjEQyyGH3E0BwrchW0fxRAqTN5ItTPAUX3a2Lqn6Yn0ndEU8/fqLu8Nq2L2cIqty06k3LTPNSXkIdaRRM9rbA"
                "MfcaGayFlqN1rrBR2H9wCCe8Qi6gy01HMRNGol3AwahVdOJqUvdJR3G2oj5t91TNaJcSNtSMiCdyCjMC1e1vw="
            ),
        ),
        (
            "POST",
            "/20160918/volumeAttachments",
            {"Content-Type": "application/json"},
            b'{"a": "\xc3\xbc"}',
            (
                "eV6yPpTSfQvy6VbCNdtyHRR0AbW0LyEP8XkFfwg/W7geol2Qtgfzkuft5HiOPMcMj7pPtBBaJ4n2yBgUob81lx"
                "EC/NhsiPGb0dHbgPcBGRoEPak0jICOWI3rh1lPL/RFr4WY73Ehv8GtyXLoqOikq1qI7MfuyUsTKc+wXwEQoKs="
            ),
        ),
        (
            "PUT",
            "/n/namespace/b/bucket/o/object",
            {"content-type": "text/plain"},
            b"text",
            (
                "OgLPUyz56R9k59hJ1UwJ4ktFkkONZrDx3cR6oD6n7OoA0Phvp7XYiNbZjS+o33iv9LQP9yB2WAikf1akmWELsU"
                "1cPXCRNAmft603sYleBTGBQo9iXminMfwTMMutItxfH6iTLZ0vxcGdmtMREmBfqWppoL5kAuLlanECkw1bKAo="
            ),
        ),
        (
            "POST",
            "/20160918/actions",
            {},
            b"",
            (
                "hxDaqMqW/sXZBl4Vi3Wrjvlw8U0oDkG+syCc8dpXnKYGpRhpnzSsamOTuc/mkPJYAZabGTV6t9pkpB94Tkxx5x"
                "oXgj8rYTjOk2KuSzZR8yHwQ6SGzwf7RJpsmi3irzdSOk+FY6YAhfM+UtNa3VglMiTQiUIYN6ta0Kl9tX7cwN0="
            ),
        ),
    ],
)
def test_oracles_own_library_has_signed_the_same(method: str, target: str, headers: dict[str, str], body: bytes, expected: str) -> None:
    """What `AbstractBaseSigner` of oci 2.189.0 made of these requests; an RSA signature of this kind has no randomness in it.

    The library is not installed here, because it pins older versions of what our users get.
    """
    url = f"https://identity.eu-frankfurt-1.oraclecloud.com:8443{target}"
    covered = "date (request-target) host" + (" content-length content-type x-content-sha256" if method in {"POST", "PUT"} else "")
    fields = f'algorithm="rsa-sha256",headers="{covered}",keyId="fake/key/id",signature="{expected}",version="1"'
    assert authorization(sign("http_signature", method=method, url=url, headers=headers, body=body)) == f"Signature {fields}"


@pytest.mark.parametrize(
    ("method", "body", "covered"), [("GET", b"", False), ("GET", b"x", True), ("POST", b"", True), ("patch", b"", True)]
)
def test_the_body_is_signed_where_there_is_one_or_may_be_one(method: str, body: bytes, covered: bool) -> None:
    signed = sign("http_signature", method=method, body=body)
    assert ("x-content-sha256" in authorization(signed)) is covered
    assert ("X-Content-SHA256" in signed.headers) is covered
    if covered:
        assert signed.headers["Content-Length"] == str(len(body))
        assert signed.headers["Content-Type"] == "application/json"


def test_an_encrypted_key_is_opened_with_its_passphrase() -> None:
    pem = as_pem(load_test_key(), PASSPHRASE)
    parts = {**SAMPLES["http_signature"].parts, "private_key": pem, "passphrase": PASSPHRASE}
    assert sign("http_signature", parts=parts) == sign("http_signature")


def test_a_passphrase_that_a_key_does_not_need_is_not_used() -> None:
    parts = {**SAMPLES["http_signature"].parts, "passphrase": PASSPHRASE}
    assert sign("http_signature", parts=parts) == sign("http_signature")


@pytest.mark.parametrize(
    ("make_pem", "passphrase"),
    [
        (lambda: "no key", ""),
        (lambda: "\ud800", ""),
        (lambda: TEST_PEM.replace("A", "B"), ""),
        (lambda: as_pem(load_test_key(), PASSPHRASE), ""),
        (lambda: as_pem(load_test_key(), PASSPHRASE), "fake-other"),
        (lambda: as_pem(ec.generate_private_key(ec.SECP256R1())), ""),
    ],
    ids=["no PEM", "a surrogate", "damaged", "without its passphrase", "with another passphrase", "not RSA"],
)
def test_a_key_that_cannot_be_used_is_named_and_not_repeated(make_pem: Callable[[], str], passphrase: str) -> None:
    pem = make_pem()
    with pytest.raises(ValidationFailedError) as raised:
        sign("http_signature", parts={"key_id": "id", "private_key": pem, "passphrase": passphrase})
    assert raised.value.field == "credentials.private_key"
    assert raised.value.__cause__ is None
    assert not any(line in str(raised.value) for line in (*pem.splitlines(), passphrase) if line)


def test_another_key_gives_another_signature() -> None:
    pem = as_pem(rsa.generate_private_key(65537, 2048))
    other = sign("http_signature", parts={"key_id": "fake/key/id", "private_key": pem})
    assert signature(other) != signature(sign("http_signature"))


def test_a_key_id_cannot_end_its_field() -> None:
    signed = sign("http_signature", options={"key_id": 'a",signature="\\'})
    assert 'keyId="a\\",signature=\\"\\\\"' in authorization(signed)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"alg": "hmac-sha256"}, "must have rsa-sha256 as alg, or no alg"),
        ({"headers": "date x-colour"}, "must not have x-colour in headers; what can be signed is "),
        ({"body_headers": "Digest"}, "must not have Digest in body_headers; what can be signed is "),
    ],
)
def test_an_option_that_cannot_be_followed_is_a_problem(options: dict[str, str], problem: str) -> None:
    (found,) = problems("http_signature", options, set(SAMPLES["http_signature"].parts))
    assert found.startswith(problem)


def test_the_options_of_oracle_are_the_ones_that_hold_without_any() -> None:
    options = {"alg": "rsa-sha256", "headers": "date (request-target) host", "body_headers": "content-length content-type x-content-sha256"}
    assert problems("http_signature", options, set(SAMPLES["http_signature"].parts)) == []
    assert sign("http_signature", options=options) == sign("http_signature")


def test_a_header_that_the_request_does_not_have_cannot_be_signed() -> None:
    with pytest.raises(ConfigurationError, match="the signature http_signature cannot sign x-colour"):
        sign("http_signature", options={"headers": "date x-colour"})
