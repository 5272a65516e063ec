"""The documents of our own issuer, and whether they can be read at its address."""

from __future__ import annotations

from typing import Any, Final

from cloud_integrations.domain.issuing import (
    CONFIGURATION_PATH,
    KEY_SET_PATH,
    IssuerProblem,
    IssuerReport,
    PublicSigningKey,
    configuration_document,
    is_local,
    key_set_document,
)
from cloud_integrations.flows.shared.platform_proofs import require_issuer
from cloud_integrations.flows.shared.sending import send
from cloud_integrations.flows.shared.wiring import Wiring
from cloud_integrations.protocol.http import HttpRequest, HttpResponse, find_json_object

_ACCEPT: Final = {"Accept": "application/json"}
_NAME: Final = "issuer"


async def issuer_configuration(wiring: Wiring, /) -> dict[str, Any]:
    """Return the discovery document.  Raises `ConfigurationError` without an issuer."""
    url, _ = require_issuer(wiring)
    return configuration_document(url)


async def issuer_key_set(wiring: Wiring, /) -> dict[str, Any]:
    """Return the public keys as a JWK Set; the first one signs.

    Raises `ConfigurationError` without an issuer, and `KeyringError` or `KeyServiceUnavailableError` as the keys do.
    """
    _, keys = require_issuer(wiring)
    return key_set_document(await keys.public_keys())


async def check_issuer(wiring: Wiring, /) -> IssuerReport:
    """Read the documents at the issuer's address, as a provider does, and compare them with what they must be.

    Raises as `issuer_key_set` does.
    """
    url, keys = require_issuer(wiring)
    ours = await keys.public_keys()
    problems: list[IssuerProblem] = ["loopback"] if is_local(url) else []
    problems += await _check_configuration(wiring, url)
    problems += await _check_keys(wiring, url, ours)
    return IssuerReport(url=url, key_ids=tuple(key.key_id for key in ours), problems=tuple(problems))


async def _check_configuration(wiring: Wiring, url: str) -> list[IssuerProblem]:
    response = await _fetch(wiring, url, CONFIGURATION_PATH)
    if response is None:
        return ["configuration_unreachable"]
    document = find_json_object(response.body)
    if document is None:
        return ["configuration_unusable"]
    expected = configuration_document(url)
    problems: list[IssuerProblem] = [] if document.get("issuer") == expected["issuer"] else ["other_issuer"]
    return problems if document.get("jwks_uri") == expected["jwks_uri"] else [*problems, "other_key_set"]


async def _check_keys(wiring: Wiring, url: str, ours: tuple[PublicSigningKey, ...]) -> list[IssuerProblem]:
    # The address is ours, not the one in the document: what is read from outside is never a URL to follow.
    response = await _fetch(wiring, url, KEY_SET_PATH)
    if response is None:
        return ["keys_unreachable"]
    document = find_json_object(response.body)
    published = document.get("keys") if document is not None else None
    if not isinstance(published, list) or not all(isinstance(key, dict) for key in published):
        return ["keys_unusable"]
    expected = {tuple(sorted(key.as_jwk().items())) for key in ours}
    found = {tuple(sorted((name, str(value)) for name, value in key.items())) for key in published}
    problems: list[IssuerProblem] = ["key_missing"] if expected - found else []
    return [*problems, "key_unknown"] if found - expected else problems


async def _fetch(wiring: Wiring, url: str, path: str) -> HttpResponse | None:
    """Return the answer if its status is 200."""
    request = HttpRequest(method="GET", url=f"{url}{path}", headers=_ACCEPT, provider_id=_NAME, loopback=is_local(url))
    answer = await send(wiring, request, deadline=wiring.settings.deadline)
    return answer if isinstance(answer, HttpResponse) and answer.status == 200 else None
