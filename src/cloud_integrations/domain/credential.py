"""Credentials in the open, for the moment they are used."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from urllib.parse import unquote_plus, urlencode, urljoin, urlsplit

from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.identifiers import IntegrationId, ProviderId
from cloud_integrations.domain.provider import Placement, fill, places
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import CredentialForm, CredentialFormError, ValidationFailedError

CredentialWarning = Literal["refresh_failed", "less_life_than_asked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a token endpoint gave (RFC 6749 §5.1), read and checked."""

    access_token: Secret
    refresh_token: Secret | None = None
    """None: none came, and one that is held stays good (RFC 6749 §6)."""
    expires_at: datetime | None = None
    scopes: tuple[str, ...] | None = None
    """None: the answer was silent, so they are those asked for (RFC 6749 §5.1)."""
    refresh_expires_at: datetime | None = None
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """Named secret parts, and where a request shows them.

    The check of a credential and whoever is handed it out send what these methods return: there is no second rule.
    """

    parts: Mapping[str, Secret] = field(repr=False)
    """By the provider's names for them; the first is the access token or the key itself."""
    placement: tuple[Placement, ...] = (Placement(),)
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What a placement may name beside the parts."""

    @property
    def forms(self) -> tuple[CredentialForm, ...]:
        """The methods that fit: `headers`, `params`, `basic`."""
        kinds = {place.in_ for place in self.placement}
        basic = bool(kinds & {"basic_user", "basic_password"})
        fits: dict[CredentialForm, bool] = {"headers": "header" in kinds or basic, "params": "query" in kinds, "basic": basic}
        return tuple(form for form, holds in fits.items() if holds)

    def headers(self) -> dict[str, str]:
        """Return the headers to send, secrets in the open; HTTP Basic (RFC 7617) is one of them.

        Raises `CredentialFormError` where the provider wants the credential in the query, `ValidationFailedError` where a
        part that the provider's file asks for is missing.
        """
        self._require("headers")
        headers = self._placed("header")
        if "basic" in self.forms:
            user, password = self.basic()
            headers["Authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        return headers

    def params(self) -> dict[str, str]:
        """Return the query parameters to send, secrets in the open.  Raises as `headers`, where the provider wants none there.

        A URL that holds them is a secret: clients and servers write URLs into their logs.
        """
        self._require("params")
        return self._placed("query")

    def basic(self) -> tuple[str, str]:
        """Return user name and password for HTTP Basic (RFC 7617), in the open.  Raises as `headers`, where it is not used."""
        self._require("basic")
        return "".join(self._placed("basic_user").values()), "".join(self._placed("basic_password").values())

    def values(self) -> dict[str, Secret]:
        """Return the parts by name, as the provider's file names them (`access_token` for OAuth2)."""
        return dict(self.parts)

    def auth(self) -> CredentialAuth:
        """Return what httpx and requests take as `auth=`: it puts the credential where the provider wants it."""
        return CredentialAuth(presented=self)

    def show_in(self, url: str, /) -> str:
        """Return *url* with the query parameters, where the provider wants some, in the place of those of the same names."""
        if "params" not in self.forms:
            return url
        parts, params = urlsplit(url), self.params()
        others = [pair for pair in parts.query.split("&") if pair and unquote_plus(pair.partition("=")[0]) not in params]
        return parts._replace(query="&".join([*others, urlencode(params)])).geturl()

    def require_complete(self) -> None:
        """Raise `ValidationFailedError` where a placement names what is not there."""
        for place in self.placement:
            self._text(place)

    def _require(self, form: CredentialForm) -> None:
        if form not in self.forms:
            raise CredentialFormError(form=form, fits=self.forms)

    def _placed(self, where: str) -> dict[str, str]:
        return {place.name: self._text(place) for place in self.placement if place.in_ == where}

    def _text(self, place: Placement) -> str:
        known = {**self.variables, **{name: part.reveal() for name, part in self.parts.items()}}
        known["value"] = next((part.reveal() for part in self.parts.values()), "")
        for name in places(place.template):
            if not known.get(name):
                raise ValidationFailedError(field=f"credentials.{name}", problem="is required by this provider")
        return place.prefix + fill(place.template, known)


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialAuth:
    """Signs one request of httpx or requests with a credential; it is of use as long as the credential is."""

    presented: Presented

    def __call__(self, request: Any, /) -> Any:
        """Put the credential into *request*, which has `headers` and `url`, and return it."""
        if "headers" in self.presented.forms:
            request.headers.update(self.presented.headers())
            if hasattr(request, "register_hook"):  # requests, which follows redirects unless it is told not to
                request.register_hook("response", self._stay_with_host)
        if "params" in self.presented.forms:
            # In the client's own type: httpx has one for URLs, requests has text.
            request.url = type(request.url)(self.presented.show_in(str(request.url)))
        return request

    def _stay_with_host(self, response: Any, *_args: Any, **_options: Any) -> None:
        """Take the credential out of what requests copies for a redirect to another host; it does so for `Authorization` alone."""
        here = urlsplit(response.url)
        there = urlsplit(urljoin(response.url, response.headers.get("Location", "")))
        if (here.scheme, here.netloc) != (there.scheme, there.netloc):
            for name in self.presented.headers():
                response.request.headers.pop(name, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential(Presented):
    """A credential that works, ready to be sent.

    `expires_at` is an aware UTC datetime, or None when it is unknown or never.  `warning` says in a word why somebody should look:
    `refresh_failed` (it still works, but renewing it does not) or `less_life_than_asked`; None: all is well.
    """

    integration_id: IntegrationId
    provider_id: ProviderId
    auth_type: AuthType
    expires_at: datetime | None = None
    scopes: tuple[str, ...] = ()
    missing_scopes: tuple[str, ...] = ()
    warning: CredentialWarning | None = None
    generation: int = 0

    @property
    def value(self) -> Secret:
        """The access token, or the API key."""
        return next(iter(self.parts.values()))

    @property
    def secret(self) -> Secret | None:
        """The second half of an API key, where the provider has one."""
        return next(iter(list(self.parts.values())[1:]), None)
