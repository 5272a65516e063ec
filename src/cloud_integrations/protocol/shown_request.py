"""Requests that show a credential as users of the library do: to check it, and to end a key."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from cloud_integrations.domain.credential import Presented
from cloud_integrations.domain.provider import Method, Provider, find_origin
from cloud_integrations.domain.signing import Unsigned
from cloud_integrations.domain.url_template import fill_url

from .http import HttpRequest, merge_headers


def build_shown(
    provider: Provider,
    method: Method,
    http_method: str,
    url: str,
    /,
    *,
    headers: Mapping[str, str],
    body: bytes,
    presented: Presented,
    variables: Mapping[str, str],
    private_servers: Collection[str],
    options: Mapping[str, str],
) -> HttpRequest:
    """Return a request to *url*, a template, with the credential *presented*.

    The method's own headers replace *headers* of the same names, and the credential's replace both.
    *private_servers* are the origins of tenants' servers that may have a private address; the operator has listed them.
    *options* are what a signature needs to know of the request.  Raises `ValidationFailedError` if a part that a template names is
    missing.
    """
    known = {**variables, **public_inputs(method, presented)}
    origin = find_origin(url)
    server = None if origin is None else known[origin]
    unsigned = HttpRequest(
        method=http_method,
        url=presented.show_in(fill_url(url, known.__getitem__)),
        headers=merge_headers(headers, method.headers.get("api", {}), presented.headers() if "headers" in presented.forms else {}),
        body=body,
        provider_id=str(provider.provider_id),
        loopback=provider.loopback,
        # What the operator says of its own host says nothing of a server that the tenant named.
        private_host=provider.on_private_host(variables) if server is None else server in private_servers,
        tenant_server=server is not None,
        certificate=presented.client_certificate(),
        trust=presented.trusted_authorities(),
    )
    if "sign" not in presented.forms:
        return unsigned
    request = Unsigned(method=unsigned.method, url=unsigned.url, headers=unsigned.headers, body=unsigned.body)
    signed = presented.sign(request, **options)
    return replace(unsigned, url=signed.url, headers=signed.headers)


def tenant_servers(provider: Provider, presented: Presented, /) -> tuple[str, ...]:
    """Return the origins of the servers of its own that the tenant entered with the credential; empty: the provider's servers take it."""
    return tuple(presented.parts[name].reveal() for name in sorted(provider.origin_inputs & presented.parts.keys()))


def public_inputs(method: Method, presented: Presented, /) -> dict[str, str]:
    """Return the inputs that are no secrets, as far as the credential has them."""
    names = [name for each in method.inputs for name in each.public_names]
    shown = {name: part.reveal() for name, part in presented.parts.items()}
    return {name: text for name in names if (text := shown.get(name, presented.variables.get(name))) is not None}
