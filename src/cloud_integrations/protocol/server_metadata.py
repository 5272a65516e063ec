"""The metadata of an authorization server (RFC 8414, OpenID Connect Discovery): where it is, and which of its endpoints are used.

What a server says of itself is not trusted further than its issuer: every endpoint must be at the issuer's own host and port.  Keys
(`jwks_uri`) are never read, because nothing here depends on a signature of the server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlsplit

from cloud_integrations.errors import AppMisconfiguredError, ProviderUnavailableError, ValidationFailedError

from .client import Client, check_endpoint
from .http import HttpRequest, HttpResponse, UnusableBodyError, read_json_object

MAX_METADATA: Final = 256 * 1024
"""The longest metadata that is read, in bytes."""
UNAVAILABLE: Final = "metadata_unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerMetadata:
    """The endpoints of an authorization server (RFC 8414 §2), checked; None: it has none of this kind."""

    authorize_url: str | None
    token_url: str
    par_url: str | None
    device_url: str | None
    revoke_url: str | None


def build_metadata_request(client: Client, url: str, /) -> HttpRequest:
    """Return the request for the metadata at *url*; it carries no credential."""
    return HttpRequest(
        method="GET",
        url=url,
        headers={"Accept": "application/json"},
        provider_id=str(client.provider.provider_id),
        loopback=client.provider.loopback,
        private_host=client.private_host,
        max_body=MAX_METADATA,
    )


def read_metadata(client: Client, response: HttpResponse, /) -> ServerMetadata:
    """Read the metadata of the client's issuer.

    Raises `ProviderUnavailableError` for an answer that is no JSON object with status 200, and `AppMisconfiguredError` for metadata
    of another issuer, which must not be used (RFC 8414 §3.3), or with an endpoint that may not be asked.
    """
    body = _read_body(client, response)
    names = ("authorization", "token", "revocation", "device_authorization", "pushed_authorization_request")
    found = {name: _find_endpoint(client, body, name) for name in names}
    aliases = body.get("mtls_endpoint_aliases")
    if client.client_auth == "tls" and isinstance(aliases, dict):
        # RFC 8705 §5: where the server asks for a client certificate.  The page that a browser opens is none of them.
        found |= {name: url for name in names[1:] if (url := _find_endpoint(client, aliases, name)) is not None}
    token_url = found["token"]
    if body.get("issuer") != client.issuer or token_url is None or (client.method.has_page and found["authorization"] is None):
        raise _refused(client)
    return ServerMetadata(
        authorize_url=found["authorization"],
        token_url=token_url,
        par_url=found["pushed_authorization_request"],
        device_url=found["device_authorization"],
        revoke_url=found["revocation"],
    )


def locate(client: Client, metadata: ServerMetadata, /) -> Client:
    """Return *client* with the endpoints in *metadata* that its method uses."""
    method = client.method
    return replace(
        client,
        authorize_url=metadata.authorize_url if method.has_page else None,
        token_url=metadata.token_url,
        par_url=metadata.par_url if method.has_page else None,
        refresh_url=metadata.token_url,
        device_url=metadata.device_url if method.device is not None else None,
        revoke_url=metadata.revoke_url if method.revoke is not None else None,
    )


def _read_body(client: Client, response: HttpResponse) -> dict[str, Any]:
    if response.status == 200 and response.content_type == "application/json":
        try:
            return read_json_object(response.body, content_type=response.headers["content-type"], limit=MAX_METADATA)
        except UnusableBodyError:
            pass
    raise ProviderUnavailableError(provider_id=str(client.provider.provider_id), reason=UNAVAILABLE)


def _find_endpoint(client: Client, body: Mapping[str, Any], name: str) -> str | None:
    url = body.get(f"{name}_endpoint")
    if url is None:
        return None
    try:
        if isinstance(url, str) and _is_issuers(client, _origin(check_endpoint(url, loopback=client.provider.loopback))):
            return url
    except ValidationFailedError:
        pass
    raise _refused(client)


def _is_issuers(client: Client, origin: tuple[str, str | None, int | None]) -> bool:
    """Whether an endpoint is the issuer's own: at its host and port, or for a client certificate at another port of its host."""
    issuers = _origin(client.issuer or "")
    return origin == issuers or (client.client_auth == "tls" and origin[:2] == issuers[:2])


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    usual = {"https": 443, "http": 80}
    return parts.scheme, parts.hostname, parts.port or usual.get(parts.scheme)


def _refused(client: Client) -> AppMisconfiguredError:
    return AppMisconfiguredError(provider_id=str(client.provider.provider_id), reason="server_metadata")
