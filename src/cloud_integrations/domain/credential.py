"""Credentials in the open, for the time of their use."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote_plus, urlencode, urlsplit

from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.credential_auth import CredentialAuth, body_of, make_auth
from cloud_integrations.domain.digest import find_challenge
from cloud_integrations.domain.dpop import DPOP, DPOP_KEY, asked_nonce
from cloud_integrations.domain.identifiers import IntegrationId, ProviderId
from cloud_integrations.domain.narrowing import Narrow
from cloud_integrations.domain.parts import Parts
from cloud_integrations.domain.provider import BEARER, VALUE, Present, Programs, fill, places
from cloud_integrations.domain.secret import Secret
from cloud_integrations.domain.signing import Signed, Unsigned
from cloud_integrations.domain.url_template import fill_url
from cloud_integrations.errors import CredentialForm, CredentialFormError, ResourceNotChosenError, ValidationFailedError

if TYPE_CHECKING:
    from ssl import SSLContext

ContextMaker = Callable[[Secret | None, Secret | None], "SSLContext"]
"""Makes the context of a TLS connection from a client certificate with its key and from the authorities to trust, both in PEM."""
RequestSigner = Callable[[Unsigned, Mapping[str, Secret], Mapping[str, str]], Signed]
"""Signs a request with the parts of a credential and the filled options of the provider's file."""
CredentialWarning = Literal["refresh_failed", "less_life_than_asked", "refused_again"]
"""`refresh_failed`: the token still works, but it could not be renewed.  `less_life_than_asked`: it ends before `min_ttl`.

`refused_again`: the provider has refused it, but it was made in place of a refused one a short while ago and is not replaced yet.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """The tokens of a token endpoint's answer and what it says of them (RFC 6749 §5.1), read and checked."""

    access_token: Secret
    refresh_token: Secret | None = None
    """None: the answer has none, and the stored refresh token stays valid (RFC 6749 §6)."""
    expires_at: datetime | None = None
    """When the access token ends; None: unknown, or never."""
    scopes: tuple[str, ...] | None = None
    """None: the answer does not name them, so they are the requested ones (RFC 6749 §5.1)."""
    refresh_expires_at: datetime | None = None
    """When the refresh token ends; None: unknown, or never."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """The values of the provider's variables that the answer gives, by name."""
    dpop_key: Secret | None = None
    """The private key to which the tokens are bound (RFC 9449); None: they are bearer tokens."""
    inputs: Parts = field(default_factory=dict, repr=False)
    """What the access token was minted from, no secrets, by the names of the method's inputs; empty: it was not minted."""

    @property
    def parts(self) -> dict[str, Secret]:
        """The parts that requests are made with, by name."""
        bound = {} if self.dpop_key is None else {DPOP_KEY: self.dpop_key}
        return {"access_token": self.access_token, **bound, **self.inputs}


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """The secret parts of a credential, and where they go in a request.

    The check of a credential and its users send what these methods return, so both always send the same.
    """

    parts: Mapping[str, Secret] = field(repr=False)
    """The secrets by the names of the provider's file; the first is the access token or the key itself."""
    present: Present = BEARER
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The variables that a template may name besides the parts."""
    signer: RequestSigner | None = field(default=None, repr=False, compare=False)
    """Makes the signature, if the provider wants one."""
    nonce: Callable[[], bytes] | None = field(default=None, repr=False, compare=False)
    """Gives 16 random bytes, if the provider uses HTTP Digest."""
    tls: ContextMaker | None = field(default=None, repr=False, compare=False)
    """Makes TLS contexts, if the provider wants a client certificate or the tenant's server has an authority of its own."""
    forms: tuple[CredentialForm, ...] = field(init=False, repr=False, compare=False)
    """The methods that may be called: some of `headers`, `params`, `basic`, `digest`, `sign`, `ssl_context`."""
    _headers: dict[str, Secret] | None = field(default=None, init=False, repr=False, compare=False)
    """What `headers` returns, from its first call on, because a credential is shown in many requests."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "forms", self._find_forms())

    def _find_forms(self) -> tuple[CredentialForm, ...]:
        shown = self.present
        fits: dict[CredentialForm, bool] = {
            "headers": bool(shown.headers) or shown.basic is not None,
            "params": bool(shown.query),
            "basic": shown.basic is not None,
            "digest": shown.digest is not None and self.nonce is not None,
            "sign": self.signer is not None,
            "ssl_context": self.tls is not None,
        }
        return tuple(form for form, holds in fits.items() if holds)

    def headers(self) -> dict[str, str]:
        """Return the headers to send, by name, with secrets in the open; HTTP Basic (RFC 7617) is among them.

        Raises `CredentialFormError` if the provider takes the credential in the query only, and `ValidationFailedError` if a part
        that the provider's file asks for is missing.
        """
        if self._headers is None:
            object.__setattr__(self, "_headers", {name: Secret(value) for name, value in self._make_headers().items()})
        return {name: value.reveal() for name, value in (self._headers or {}).items()}

    def _make_headers(self) -> dict[str, str]:
        self._require("headers")
        headers = self._filled(self.present.headers)
        if self.present.basic is not None:
            user, password = self.basic()
            headers["Authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        return headers

    def params(self) -> dict[str, str]:
        """Return the query parameters to send, by name, with secrets in the open.

        Treat a URL with these parameters as a secret: clients and servers write URLs into their logs.

        Raises `CredentialFormError` if the provider takes no credential in the query, and `ValidationFailedError` as `headers` does.
        """
        self._require("params")
        return self._filled(self.present.query)

    def basic(self) -> tuple[str, str]:
        """Return the user name and the password for HTTP Basic (RFC 7617), in the open.

        Raises `CredentialFormError` if the provider does not use HTTP Basic, and `ValidationFailedError` as `headers` does.
        """
        self._require("basic")
        basic = self.present.basic
        return ("", "") if basic is None else (self.fill_in(basic.user), self.fill_in(basic.password))

    def digest(self) -> tuple[str, str]:
        """Return the user name and the password for HTTP Digest (RFC 7616), in the open.

        `auth()` answers the server's challenges with them, and so do the digest classes of HTTP clients.

        Raises `CredentialFormError` if the provider does not use HTTP Digest, and `ValidationFailedError` as `headers` does.
        """
        self._require("digest")
        digest = self.present.digest
        return ("", "") if digest is None else (self.fill_in(digest.user), self.fill_in(digest.password))

    def answer(self, challenge: str, /, *, http_method: str, url: str, again: bool = False) -> str | None:
        """Return the value of `Authorization` that answers the challenge of a 401 (RFC 7616); None: there is nothing to answer.

        *challenge* is the value of the answer's `WWW-Authenticate`; *http_method* and *url* are those of the request.  *again*: the
        request has been answered already, so only a nonce that is stale is a reason to answer another time.
        """
        found = find_challenge(challenge) if "digest" in self.forms else None
        if found is None or self.nonce is None or (again and not found.stale):
            return None
        user, password = self.digest()
        return found.answer(http_method=http_method, url=url, user=user, password=Secret(password), cnonce=self.nonce().hex())

    @property
    def answers(self) -> bool:
        """Whether a server may ask for a request once more: with HTTP Digest (RFC 7616), or with a nonce for DPoP (RFC 9449 §9)."""
        return "digest" in self.forms or self.present.sign == DPOP

    def repeat(self, request: Unsigned, refusal: Mapping[str, str], /, *, again: bool = False) -> dict[str, str] | None:
        """Return the headers to set in *request* to send it once more after a 401; None: the server asks for nothing.

        *refusal* are the headers of the 401, by lower-case names or in a mapping that ignores case.  *again* is as in `answer`; a nonce
        for DPoP is taken up once.
        """
        if "digest" in self.forms:
            answer = self.answer(refusal.get("www-authenticate", ""), http_method=request.method, url=request.url, again=again)
            return None if answer is None else {"Authorization": answer}
        nonce = asked_nonce(refusal) if self.answers and not again else None
        return None if nonce is None else dict(self.sign(replace(request, headers={}), nonce=nonce).headers)

    def ssl_context(self) -> SSLContext:
        """Return a new TLS context for connections to the tenant's server, such as `verify=` of httpx takes.

        It shows the client certificate, if the provider wants one, and trusts the authority that the tenant entered, else those of the
        operating system.  The name in the server's certificate is checked in any case.

        Raises `CredentialFormError` if the provider wants neither, and `ValidationFailedError` if TLS cannot use what was entered.
        """
        if self.tls is None:
            raise CredentialFormError(form="ssl_context", fits=self.forms)
        return self.tls(self.client_certificate(), self.trusted_authorities())

    def client_certificate(self) -> Secret | None:
        """Return the client certificate with its private key, in PEM; None if the provider wants none.

        Raises `ValidationFailedError` if a part that the provider's file asks for is missing.
        """
        shown = self.present.certificate
        return None if shown is None else Secret(self.fill_in(shown.replace("}{", "}\n{")))

    def trusted_authorities(self) -> Secret | None:
        """Return the certificates of the authorities that the tenant's server is checked against, in PEM; None: the usual ones."""
        return next((self.parts[name] for name in places(self.present.trust or "") if name in self.parts), None)

    def values(self) -> dict[str, Secret]:
        """Return the secret parts by the names of the provider's file (`access_token` for OAuth2)."""
        return dict(self.parts)

    def auth(self, **options: str) -> CredentialAuth:
        """Return a value for `auth=` of httpx and requests; it puts the credential where the provider expects it.

        With HTTP Digest and with DPoP it also answers what the server asks for, for which it sends the request again; httpx must be
        imported then.
        """
        return make_auth(self, options)

    def sign(self, request: Any, /, **options: str) -> Any:
        """Return *request* with the provider's signature, and with the headers and parameters that go beside it.

        *request* is an `Unsigned`, for which a `Signed` is returned, or a request of httpx or requests, which is changed.  It is complete:
        the signature covers method, URL and body, so none of them may change afterwards.  It is valid for minutes.  *options* are what the
        signature needs to know of the request, such as `service` and `region` of AWS; they replace those of the provider's file.

        Raises `CredentialFormError` if the provider takes no signature, and `ValidationFailedError` if a part is missing or the body
        is no bytes or text that can be read twice.
        """
        if isinstance(request, Unsigned):
            return self._signed(request, options)
        unsigned = Unsigned(method=request.method, url=str(request.url), headers=dict(request.headers), body=body_of(request))
        signed = self._signed(unsigned, options)
        request.headers.clear()
        request.headers.update(signed.headers)
        # In the client's own type: httpx has one for URLs, requests uses text.
        request.url = type(request.url)(signed.url)
        return request

    def _signed(self, request: Unsigned, options: Mapping[str, str]) -> Signed:
        if self.signer is None:
            raise CredentialFormError(form="sign", fits=self.forms)
        own = self.headers() if "headers" in self.forms else {}
        replaced = {name.lower() for name in own}
        headers = {name: value for name, value in request.headers.items() if name.lower() not in replaced}
        complete = replace(request, url=self.show_in(request.url), headers=headers | own)
        return self.signer(complete, self.parts, {**self._filled(self.present.options), **options})

    def show_in(self, url: str, /) -> str:
        """Return *url* with the credential's query parameters, if the provider takes some; they replace those of the same names."""
        if "params" not in self.forms:
            return url
        parts, params = urlsplit(url), self.params()
        others = [pair for pair in parts.query.split("&") if pair and unquote_plus(pair.partition("=")[0]) not in params]
        return parts._replace(query="&".join([*others, urlencode(params)])).geturl()

    def require_complete(self) -> None:
        """Raise `ValidationFailedError` where a template names what is not there."""
        for where, template in self.present.templates():
            if not self.fill_in(template).isprintable() and where.startswith("headers."):
                # A line break inside a header's value would begin another header.
                raise ValidationFailedError(field="credentials", problem="hold several lines where a header takes one")
        self._require_basic_user()

    def _require_basic_user(self) -> None:
        # The first colon ends the user name (RFC 7617 §2, RFC 7616 §3.4.2).
        for scheme, user in (("Basic", self.present.basic), ("Digest", self.present.digest)):
            for name in () if user is None else places(user.user):
                if ":" in self.fill_in(f"{{{name}}}"):
                    field = f"credentials.{next(iter(self.parts)) if name == VALUE else name}"
                    raise ValidationFailedError(field=field, problem=f"is the user name of HTTP {scheme} and must not contain a colon")

    def _require(self, form: CredentialForm) -> None:
        if form not in self.forms:
            raise CredentialFormError(form=form, fits=self.forms)

    def _filled(self, templates: Mapping[str, str]) -> dict[str, str]:
        return {name: self.fill_in(template) for name, template in templates.items()}

    def fill_in(self, template: str, /) -> str:
        """Return *template* with the parts and variables that it names, in the open; `{value}` is the first part.

        Raises `ValidationFailedError`, which names the part, where it is missing.
        """
        known = {**self.variables, **{name: part.reveal() for name, part in self.parts.items()}}
        known[VALUE] = next((part.reveal() for part in self.parts.values()), "")
        # A proof is a part of the credential, by its own name.
        template = template.replace("{proof:", "{")
        for name in places(template):
            if not known.get(name):
                raise ValidationFailedError(field=f"credentials.{name}", problem="is required by this provider")
        return fill(template, known)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential(Presented):
    """A credential that works, ready to be sent.

    `expires_at` is an aware UTC datetime; None: the end is unknown, or there is none.  `missing_scopes` are requested scopes that
    were not granted.  `warning` is `refresh_failed` (it still works, but it could not be renewed), `less_life_than_asked`,
    `refused_again` (`replace_refused` gives it back, because it is too early to replace it), or None.
    `generation` counts the credentials of the integration.  `narrow` is what it was narrowed to; None: it is the whole credential.
    """

    integration_id: IntegrationId
    provider_id: ProviderId
    auth_type: AuthType
    expires_at: datetime | None = None
    scopes: tuple[str, ...] = ()
    missing_scopes: tuple[str, ...] = ()
    warning: CredentialWarning | None = None
    generation: int = 0
    programs: Programs | None = field(default=None, repr=False)
    """How programs that know nothing of this library find it; None: not known."""
    narrow: Narrow | None = field(default=None, repr=False)
    base_urls: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The templates of the addresses that `base_url` gives."""
    to_choose: str | None = None
    """The variable that the tenant must choose first, for what needs it; None: there is none."""

    def base_url(self, name: str, /) -> str:
        """Return the address of one of the provider's APIs, by its name in the provider's file, without a slash at the end.

        Raises `ResourceNotChosenError` if the tenant must choose a resource first, which is part of it; `ValidationFailedError` for a name
        that the provider does not have, and if a part is missing.
        """
        if name not in self.base_urls:
            known = ", ".join(sorted(self.base_urls)) or "there is none"
            raise ValidationFailedError(field="name", problem=f"must be that of an API of this provider: {known}")
        return fill_url(self.base_urls[name], lambda part: self.fill_in(f"{{{part}}}")).rstrip("/")

    def fill_in(self, template: str, /) -> str:
        """Return *template* with the parts and variables that it names, in the open; `{value}` is the first part.

        Raises `ResourceNotChosenError` if it names what the tenant must choose first, `ValidationFailedError`, which names the part, where
        another one is missing.
        """
        if self.to_choose is not None and self.to_choose in places(template):
            raise ResourceNotChosenError(integration_id=str(self.integration_id), variable=self.to_choose)
        return Presented.fill_in(self, template)

    @property
    def narrowed(self) -> tuple[str, ...]:
        """The names by which it was narrowed (`policy`, `scopes` …); empty: it is the whole credential."""
        return () if self.narrow is None else self.narrow.names

    @property
    def value(self) -> Secret:
        """The access token, or the API key."""
        return next(iter(self.parts.values()))

    @property
    def secret(self) -> Secret | None:
        """The second part of an API key (its secret); None: there is none."""
        return next(iter(list(self.parts.values())[1:]), None)
