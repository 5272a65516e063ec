"""What the tests of the signatures share: a sample for each signature, and a short way to sign with it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import pytest

from cloud_integrations.domain.secret import Secret
from cloud_integrations.domain.signing import Signed, Unsigned
from cloud_integrations.protocol.signing import find_signer

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
NONCE = bytes(range(16))
URL = "https://api.example.com/v1/things"

# The test key of draft-cavage-http-signatures-08, appendix C, which everybody can read there.
_TEST_KEY = """
MIICXgIBAAKBgQDCFENGw33yGihy92pDjZQhl0C36rPJj+CvfSC8+q28hxA161QFNUd13wuCTUcq0Qd2qsBe/2hFyc2DCJJg0h1L78+6Z4UMR7EOcpfdUE9Hf3m/hs+F
UR45uBJeDK1HSFHD8bHKD6kv8FPGfJTotc+2xjJwoYi+1hqp1fIekaxsyQIDAQABAoGBAJR8ZkCUvx5kzv+utdl7T5MnordT1TvoXXJGXK7ZZ+UuvMNUCdN2QPc4sBiA
QWvLw1cSKt5DsKZ8UETpYPy8pPYnnDEz2dDYiaew9+xEpubyeW2oH4Zx71wqBtOKkqwrXa/pzdpiucRRjk6vE6YY7EBBs/g7uanVpGibOVAEsqH1AkEA7DkjVH28WDUg
f1nqvfn2Kj6CT7nIcE3jGJsZZ7zlZmBmHFDONMLUrXR/Zm3pR5m0tCmBqa5RK95u412jt1dPIwJBANJT3v8pnkth48bQo/fKel6uEYyboRtA5/uHuHkZ6FQF7OUkGogc
mSJluOdc5t6hI1VsLn0QZEjQZMEOWr+wKSMCQQCC4kXJEsHAve77oP6HtG/IiEn7kpyUXRNvFsDE0czpJJBvL/aRFUJxuRK91jhjC68sA7NsKMGg5OXb5I5Jj36xAkEA
gIT7aFOYBFwGgQAQkWNKLvySgKbAZRTeLBacpHMuQdl1DfdntvAyqpAZ0lY0RKmWG6aFKaqQfOXKCyWoUiVknQJAXrlgySFci/2ueKlIE1QqIiLSZ8V8OlpFLRnb1pzI
7U1yQXnTAEFYM560yJlzUpOb1V4cScGd365tiSMvxLOvTA==
"""
TEST_PEM = "-----BEGIN RSA PRIVATE KEY-----" + _TEST_KEY + "-----END RSA PRIVATE KEY-----\n"


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Parts and options that are enough for a signature, and what it promises about them."""

    parts: Mapping[str, str]
    secrets: frozenset[str]
    """The parts that are never sent."""
    options: Mapping[str, str] = field(default_factory=dict)
    token: str = ""
    """The part for temporary credentials."""
    covers_header: str = ""
    """A header of the caller that is signed."""


SAMPLES: Mapping[str, Sample] = {
    "acs3": Sample(
        parts={"access_key_id": "fake-id", "access_key_secret": "fake-secret-value"},
        secrets=frozenset({"access_key_secret"}),
        token="security_token",
        covers_header="x-acs-action",
    ),
    "aws4": Sample(
        parts={"access_key_id": "AKIDEXAMPLE", "secret_access_key": "fake-secret-value"},
        secrets=frozenset({"secret_access_key"}),
        options={"service": "sts", "region": "eu-central-1"},
        token="session_token",
        covers_header="content-type",
    ),
    "eg1": Sample(
        parts={"client_token": "fake-client", "client_secret": "fake-secret-value", "access_token": "fake-access"},
        secrets=frozenset({"client_secret"}),
        options={"headers": "x-test"},
        covers_header="x-test",
    ),
    "exo2": Sample(parts={"api_key": "fake-key", "api_secret": "fake-secret-value"}, secrets=frozenset({"api_secret"})),
    "http_signature": Sample(
        parts={"key_id": "fake/key/id", "private_key": TEST_PEM}, secrets=frozenset({"private_key"}), covers_header="content-type"
    ),
    "ovh1": Sample(
        parts={"application_key": "fake-application", "application_secret": "fake-secret-value", "consumer_key": "fake-consumer"},
        secrets=frozenset({"application_secret"}),
    ),
    "sdk_hmac": Sample(
        parts={"access_key": "fake-id", "secret_key": "fake-secret-value"},
        secrets=frozenset({"secret_key"}),
        token="security_token",
        covers_header="x-project-id",
    ),
    "tc3": Sample(
        parts={"secret_id": "fake-id", "secret_key": "fake-secret-value"},
        secrets=frozenset({"secret_key"}),
        options={"service": "sts", "headers": "x-tc-action x-tc-token"},
        token="token",
        covers_header="x-tc-action",
    ),
}


def secret_parts(parts: Mapping[str, str]) -> dict[str, Secret]:
    return {name: Secret(text) for name, text in parts.items()}


def sign(
    name: str,
    *,
    method: str = "POST",
    url: str = URL,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    parts: Mapping[str, str] | None = None,
    options: Mapping[str, str] | None = None,
    now: datetime = NOW,
    nonce: bytes = NONCE,
) -> Signed:
    """Sign a request, with the sample's parts and options where others are not given."""
    signer, sample = find_signer(name), SAMPLES[name]
    assert signer is not None
    return signer.sign(
        Unsigned(method=method, url=url, headers=headers or {}, body=body),
        parts=secret_parts(sample.parts if parts is None else parts),
        options=sample.options if options is None else options,
        now=now,
        nonce=nonce,
    )


def problems(name: str, options: Mapping[str, str], parts: set[str]) -> list[str]:
    signer = find_signer(name)
    assert signer is not None
    return list(signer.problems(options, parts))


def authorization(signed: Signed) -> str:
    """The header that holds the signature."""
    return signed.headers["Authorization"] if "Authorization" in signed.headers else signed.headers["X-Ovh-Signature"]


def signature(signed: Signed) -> str:
    """The signature alone, without the names and times that stand beside it."""
    found = re.search(r'(?:^\$1\$|[Ss]ignature="?)([A-Za-z0-9+/=]+)', authorization(signed))
    assert found
    return found[1]


def sdk(module: str) -> Any:
    """Return a module of a provider's own library, of requirements/tools.in; it must be there where CI is set."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"needs {error.name}, which requirements/tools.in names")
