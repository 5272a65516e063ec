"""Credentials in the requests of HTTP clients: what `auth=` of httpx and requests takes."""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol
from urllib.parse import urljoin, urlsplit

from cloud_integrations.domain.dpop import find_nonce
from cloud_integrations.domain.signing import Unsigned
from cloud_integrations.errors import CredentialForm, CredentialFormError, ValidationFailedError

_CLIENTS: Final = ("httpx", "httpx2")


class Shown(Protocol):
    """What is asked of a credential; see `Presented`."""

    @property
    def forms(self) -> tuple[CredentialForm, ...]:
        """The methods that may be called."""
        ...

    def headers(self) -> dict[str, str]:
        """Return the headers to send."""
        ...

    def show_in(self, url: str, /) -> str:
        """Return *url* with the credential's query parameters."""
        ...

    def sign(self, request: Any, /, **options: str) -> Any:
        """Return *request* with the signature."""
        ...

    @property
    def answers(self) -> bool:
        """Whether a server may ask for a request once more."""
        ...

    def repeat(self, request: Unsigned, refusal: Mapping[str, str], /, *, again: bool = False) -> dict[str, str] | None:
        """Return the headers to send *request* once more."""
        ...


def make_auth(presented: Shown, options: Mapping[str, str], /) -> CredentialAuth:
    """Return what puts *presented* into requests.  Raises `CredentialFormError` for a credential that no request holds."""
    if not {"headers", "params", "digest", "sign"} & set(presented.forms):
        raise CredentialFormError(form="auth", fits=presented.forms)
    if not presented.answers:
        return CredentialAuth(presented=presented, options=options)
    # httpx shows the answer to its own class alone.  Whoever sends with it has imported it, and this module never does.
    bases = tuple(sys.modules[name].Auth for name in _CLIENTS if name in sys.modules)
    kind: type[AnsweringAuth] = type("AnsweringAuth", (AnsweringAuth, *bases), {})
    return kind(presented=presented, options=options)


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialAuth:
    """Adds a credential to the requests of httpx or requests (`auth=`); valid as long as the credential is.

    With httpx, do not follow redirects to other hosts: of the headers it copies, httpx drops only `Authorization`.
    """

    presented: Shown
    options: Mapping[str, str] = field(default_factory=dict)
    """What a signature needs to know of the requests."""

    def __call__(self, request: Any, /) -> Any:
        """Add the credential to *request*, which has `headers` and `url`, and return it."""
        if "sign" in self.presented.forms:
            return self.presented.sign(request, **self._options_for(str(request.url)))
        if "headers" in self.presented.forms:
            request.headers.update(self.presented.headers())
            if hasattr(request, "register_hook"):  # requests, which follows redirects by default
                request.register_hook("response", self._stay_with_host)
        if "params" in self.presented.forms:
            # `url` keeps its type: an object in httpx, text in requests.
            request.url = type(request.url)(self.presented.show_in(str(request.url)))
        return request

    def _options_for(self, _url: str, /) -> Mapping[str, str]:
        """Return what the signature needs to know of a request to this URL."""
        return self.options

    def _stay_with_host(self, response: Any, *_args: Any, **_options: Any) -> None:
        """Remove the credential's headers before requests copies them for a redirect to another host.

        Requests itself removes `Authorization` only.
        """
        if server_of(response.url) != server_of(urljoin(response.url, response.headers.get("Location", ""))):
            for name in self.presented.headers():
                response.request.headers.pop(name, None)


@dataclass(frozen=True, kw_only=True)
class AnsweringAuth(CredentialAuth):
    """Answers the challenges of HTTP Digest (RFC 7616) and takes up the nonces of DPoP (RFC 9449 §9); for that it sends requests again."""

    requires_request_body: bool = field(default=True, init=False)
    """For httpx: the body is read, because it is sent twice."""
    nonces: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)
    """The last nonce for DPoP of each server, by scheme and host."""

    def __call__(self, request: Any, /) -> Any:
        """Add to *request* of requests what is sent beside the answer, and answer the challenge to it."""
        if not hasattr(request, "register_hook"):
            raise CredentialFormError(form="auth", fits=self.presented.forms)
        body_of(request)
        request = super().__call__(request)
        request.register_hook("response", partial(self._repeat, request.url))
        return request

    def auth_flow(self, request: Any) -> Generator[Any, Any]:
        """Send *request* of httpx, and again with the answer to its challenge."""
        super().__call__(request)
        response = yield request
        for again in (False, True):
            headers = self._answer(str(request.url), response, str(response.url), again=again)
            if headers is None:
                return
            request.headers.update(headers)
            response = yield request

    def _repeat(self, url: str, response: Any, /, *_args: Any, **options: Any) -> Any:
        """Return the answer to the request after its challenge was answered, or *response* if it has none."""
        for again in (False, True):
            headers = self._answer(url, response, response.request.url, again=again)
            if headers is None:
                break
            # The connection is free for the next request once the answer is read.
            _ = response.content
            response.close()
            repeated = response.request.copy()
            repeated.headers.update(headers)
            follow = response.connection.send(repeated, **options)
            follow.history.append(response)
            follow.request = repeated
            response = follow
        return response

    def _options_for(self, url: str, /) -> Mapping[str, str]:
        known = self.nonces.get(server_of(url))
        return self.options if known is None else {"nonce": known, **self.options}

    def _answer(self, url: str, response: Any, answered_by: str, /, *, again: bool) -> dict[str, str] | None:
        # After a redirect to another host, that host's challenge is none of the provider's.
        if server_of(url) != server_of(answered_by):
            return None
        if "sign" in self.presented.forms and (nonce := find_nonce(response.headers)) is not None:
            self.nonces[server_of(url)] = nonce
        if response.status_code != 401:
            return None
        # The method of the request that was answered: a redirect may have changed it.
        return self.presented.repeat(Unsigned(method=response.request.method, url=url), response.headers, again=again)


def server_of(url: str, /) -> str:
    """Return the scheme and the host of *url*, with its port if it names one."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def body_of(request: Any) -> bytes:
    """Return the body of a request of httpx or requests."""
    try:
        body = request.content if hasattr(request, "content") else request.body
    except RuntimeError:  # httpx, of a stream that nobody has read
        body = False
    if isinstance(body, str):
        body = body.encode()
    if body is not None and not isinstance(body, bytes):
        raise ValidationFailedError(field="request", problem="must have a body of bytes or text, because the signature covers it")
    return body or b""
