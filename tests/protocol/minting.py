"""A step of a mint, a request for it and answers to it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

from joserfc import jwt
from joserfc.jwk import RSAKey
from tests.protocol.keys import pem, public_pem

from cloud_integrations.domain.provider import AccessTokenFacts, Provider
from cloud_integrations.domain.provider.minting import Proof, Step
from cloud_integrations.domain.secret import Secret
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations.protocol.minting import Minted, build_step, read_step

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
AT = int(NOW.timestamp())
HOUR = timedelta(hours=1)
URL = "https://login.example.com/token"
GOOD = {"access_token": "fake-token", "token_type": "Bearer", "expires_in": 3600}
VALUES = {"client_id": "client-1", "client_secret": Secret("fake secret+1"), "private_key": Secret(pem()), "region": "eu-1"}
KEY = {"jwt": "{private_key}", "iss": "{client_id}"}


def step(**fields):
    return Step.model_validate({"url": URL, **fields})


def build(values=None, /, *, proofs=None, **fields):
    made = {name: Proof.model_validate({**KEY, **fields}) for name, fields in (proofs or {}).items()}
    return build_step(
        step(**fields), values=VALUES if values is None else values, proofs=made, provider_id="acme", now=NOW, jti="jti-1"
    )  # fmt: skip


def form(request):
    pairs = parse_qsl(request.body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def claims(token):
    return jwt.decode(token, RSAKey.import_key(public_pem()), algorithms=["RS256", "PS256"]).claims


def answer(body, /, *, status=200, sent_at=NOW, **headers):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(status=status, headers=named, body=content, sent_at=sent_at)


def read(response, /, *, provider=None, facts=None, owned=False, **fields):
    known = Provider.model_validate({
        "id": "acme", "name": "Acme", "methods": [{"id": "keys", "kind": "key", "inputs": [{"name": "token"}]}], **(provider or {}),
    })  # fmt: skip
    return read_step(
        step(**fields), response, provider=known, method_id="keys", access_token=AccessTokenFacts(**(facts or {})), owned=owned, now=NOW
    )


def minted(result):
    assert isinstance(result, Minted), result
    return {name: value.reveal() for name, value in result.values.items()}, result.expires_at, result.unread
