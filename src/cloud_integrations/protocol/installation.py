"""The list of installations that a person may see: its request is built here, and its answer read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from cloud_integrations.domain.integration import AccountFacts
from cloud_integrations.domain.provider import Listing
from cloud_integrations.domain.secret import Secret

from .client import Client, check_endpoint
from .client_auth import HEADERS
from .http import HttpRequest, HttpResponse, UnusableBodyError, find_path, merge_headers, read_json_object
from .scopes import is_scope
from .verification import read_identity

MAX_LIST: Final = 1024 * 1024
"""The longest page of a list that is read, in bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """An installation that the person who came back may use."""

    id: str
    account: AccountFacts
    permissions: tuple[str, ...] | None = None
    """What it may do; None: the provider does not say."""


def build_page(client: Client, listing: Listing, /, *, token: Secret, page: int) -> HttpRequest:
    """Build the request for one page of the list, from 1, with the person's own access token."""
    url = client.fill(listing.url)
    return HttpRequest(
        method="GET",
        url=check_endpoint(f"{url}{'&' if '?' in url else '?'}page={page}", loopback=client.provider.loopback),
        headers=merge_headers(HEADERS, listing.headers, {"Authorization": f"Bearer {token.reveal()}"}),
        provider_id=str(client.provider.provider_id),
        loopback=client.provider.loopback,
        private_host=client.private_host,
        max_body=MAX_LIST,
    )


def read_page(listing: Listing, response: HttpResponse, /) -> list[Any] | None:
    """Return the entries of a page; None: the answer is no such list."""
    try:
        body = read_json_object(response.body, limit=MAX_LIST)
    except UnusableBodyError:
        return None
    entries = find_path(body, listing.at)
    return entries if response.status == 200 and isinstance(entries, list) else None


def find_installed(listing: Listing, entries: list[Any], claimed: str, /) -> Installed | None:
    """Return the installation with the id *claimed* among the entries of a page; None if it is not there."""
    entry = next((entry for entry in entries if read_identity(find_path(entry, listing.id)) == claimed), None)
    if entry is None:
        return None
    name = "" if listing.label is None else read_identity(find_path(entry, listing.label))
    label = f"{name} (installation {claimed})" if name else f"installation {claimed}"
    account = AccountFacts(account_id=read_identity(find_path(entry, listing.account)) or None, label=label)
    allowed = None if listing.permissions is None else find_path(entry, listing.permissions)
    if not isinstance(allowed, dict):
        return Installed(id=claimed, account=account)
    scopes = (f"{name}:{level}" for name, level in allowed.items())
    return Installed(id=claimed, account=account, permissions=tuple(sorted(filter(is_scope, scopes))))
