"""A provider with a check, what is sent to it, and what is read of its answer."""

from __future__ import annotations

import base64
import json

from cloud_integrations.domain.provider import Method, Provider
from cloud_integrations.domain.secret import Secret
from cloud_integrations.kinds import present
from cloud_integrations.protocol.verification import build_check, find_check

KEY = "fake-test-key-value"


def jwt(claims: object) -> str:
    """A token as an authorization server makes it; nobody checks the signature here."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in ({"alg": "none"}, claims)]
    return ".".join([*parts, "fake-signature"])


def request_of(acme: Provider, inputs=None, variables=None, method: Method | None = None):
    method = method or acme.methods[0]
    check = find_check(acme, method, variables=variables or {})
    assert check is not None
    return build_check(acme, method, check, presented=presented_by(method, inputs, variables), variables=variables or {})


def presented_by(method: Method, inputs=None, variables=None):
    return present(method, {"token": Secret(KEY)} if inputs is None else inputs, variables=variables or {})
