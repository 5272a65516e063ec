"""A provider in memory: an authorization server, an API that answers "who am I", and an oracle for tests.

It follows RFC 6749 (code and refresh), RFC 7636 (S256 only), RFC 7009, RFC 8628, RFC 9207 and RFC 9449, and misbehaves on request.
It keeps only the hashes of its tokens, so that neither its log nor its `repr` can show one.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from urllib.parse import urlencode, urlsplit

from cloud_integrations.domain.application import OAuthApplication
from cloud_integrations.domain.dpop import DPOP
from cloud_integrations.domain.provider import (
    BEARER,
    AccessTokenFacts,
    AfterConnecting,
    Device,
    Input,
    KeyRevocation,
    Method,
    Narrowing,
    NewKey,
    Present,
    Provider,
    RefreshTokenFacts,
    Revoke,
    Scopes,
    Variable,
    Verification,
)
from cloud_integrations.protocol.device import GRANT_TYPE
from cloud_integrations.protocol.http import HttpResponse

from .endpoints import Endpoints
from .misbehaviour import DELIVERIES, USUAL_PLACE, Delivery, Endpoint, Misbehaviour, Planned
from .oracle import Oracle
from .requests import FORM, Answer, ReceivedRequest, Request, Work, endpoint_of, is_at, presented_by
from .tokens import Plan

_ANY = ""


_SCOPES_ON_REFRESH = {"scopes": Narrowing(form="list", to="refresh")}


class SimulatedProvider(Endpoints, Oracle):
    """A provider in memory; safe to share between threads.

    `slug` is its name in the catalogue: `github`, for example, for an application that asks for GitHub.  A second provider
    `<slug>_keys` takes API keys; with `takes_keys`, this one takes them too, and with
    `revokes_keys` a key ends at its own request (`delete(revoke_key=True)`).  With `makes_keys` a key makes another one (`create`) or
    gets a new value (`roll`), while there are fewer than `most_keys`.  With `device_codes` it also works by device code; see
    `enter_code`.  `clock` decides what has expired (default: the wall clock); `entropy` makes the tokens (default: different ones in
    each run).
    `rotation` and `reuse` say what happens to refresh tokens (see `Reuse`), and `grace` how long a spent one works under
    `reuse="grace"`; with `ends_old_access`, a refresh ends the older access tokens.  `kills` says what a revocation ends: the token,
    and with a refresh token its grant, or every grant of the account.  With `auto_approve` an authorization is answered at once,
    without the consent page.  Without `require_pkce` an authorization may have no challenge; its code then needs no verifier, as many
    providers still allow.

    With `resources`, a list of objects with `id`, `name` and `url` (assign to it to change them), a credential is for one of them: the
    variable `resource`, and a part of the address of its API `files`.

    With `dpop` its tokens are bound to a key of the client (RFC 9449); assign to `dpop_nonce` to have it ask for that nonce.

    `account` is the account that is signed in at the provider; assign to it to sign in as another.
    """

    def __repr__(self) -> str:
        return f"SimulatedProvider(slug={self.slug!r}, requests={len(self._requests)})"

    def catalogue_entries(self, base_url: str | None = None, /) -> tuple[Provider, Provider]:
        """Describe this provider twice: with OAuth2, and (as `<slug>_keys`) with an API key.

        With *base_url*, the provider uses this URL from now on.
        """
        if base_url is not None:
            self.base_url = base_url.rstrip("/")
        url = self.base_url
        who_am_i = Verification(
            url=f"{url}/me", identity=("json:id",), label=("json:label",), status_rules={401: "dead", 403: "alive_but_denied"}
        )
        found = None
        if self.resources is not None:
            found = AfterConnecting(variable="resource", url=f"{url}/resources", label="name", link="url")
        by_code = Method(
            id="code",
            kind="code",
            authorize_url=f"{url}/authorize",
            token_url=f"{url}/token",
            device=Device(url=f"{url}/device") if self.device_codes else None,
            issuer=url,
            scopes=Scopes(default=("read", "write")),
            pkce="required",
            client_auth=("basic", "post"),
            access_token=AccessTokenFacts(assumed_lifetime=self.access_lifetime),
            refresh_token=RefreshTokenFacts(
                rotates=self.rotation,
                reuse="none" if self.rotation == "never" else "strict" if self.reuse == "family" else self.reuse,
                grace=self.grace if self.reuse == "grace" else timedelta(),
                replay_kills_family=self.reuse == "family",
                ends_old_access=self.ends_old_access,
            ),
            present=Present(sign=DPOP) if self.dpop else BEARER,
            narrow={} if self.dpop or self.ends_old_access or self.rotation != "never" else _SCOPES_ON_REFRESH,
            after_connecting=found,
            revoke=Revoke(url=f"{url}/revoke", kills=self.kills),
        )
        by_key = Method(
            id="key",
            kind="key",
            inputs=(Input(name="key", label="API key", patterns=("fake-key-.+",)),),
            after_connecting=found,
            revoke=Revoke(key=KeyRevocation(url=f"{url}/me")) if self.revokes_keys else None,
            rotation=None if self.makes_keys is None else NewKey(does=self.makes_keys, url=f"{url}/keys", gives={"key": "key"}),
        )
        resource = Variable(name="resource", source="after_connecting", pattern="^[a-z0-9-]{1,40}$")
        variables = () if found is None else (resource,)
        base_urls = {} if found is None else {"files": f"{url}/resources/{{resource}}/files"}
        return (
            Provider(
                id=self.slug,
                name="Simulated",
                category="other",
                variables=variables,
                base_urls=base_urls,
                methods=(by_code, by_key) if self.takes_keys else (by_code,),
                verifications=(who_am_i,),
                loopback=True,
            ),
            Provider(
                id=f"{self.slug}_keys",
                name="Simulated (keys)",
                category="other",
                variables=variables,
                base_urls=base_urls,
                methods=(by_key,),
                verifications=(who_am_i,),
                loopback=True,
            ),
        )

    def application(self, *, redirect_uris: tuple[str, ...] = ()) -> OAuthApplication:
        """Return the one OAuth application that is registered here, with its first secret; both are visibly fake."""
        return OAuthApplication(
            provider=self.slug, client_id=self._client_id, client_secret=self._client_secret, redirect_uris=redirect_uris
        )

    def misbehave(
        self,
        what: Misbehaviour,
        /,
        *,
        times: int | None = 1,
        endpoint: Endpoint | None = None,
        delay: timedelta = timedelta(),
        retry_after: timedelta = timedelta(seconds=30),
    ) -> None:
        """Misbehave at the next *times* requests to *endpoint*; None: at every one until `behave`.

        *endpoint* is by default the one that *what* belongs to, else the token endpoint.  Of several plans, each request uses the
        oldest that fits.  *delay* passes before the answer; *retry_after* is the header of an answer with 429 or 503.
        Raises `ValueError` where *times* is below 1.
        """
        if times is not None and times < 1:
            raise ValueError("times must be at least 1, or None for always")
        place = endpoint or USUAL_PLACE.get(what, "token")
        with self._lock:
            self._plans.append(Plan(planned=Planned(what=what, delay=delay, retry_after=retry_after), endpoint=place, left=times))

    def behave(self) -> None:
        """Forget every misbehaviour that has not happened yet."""
        with self._lock:
            self._plans.clear()

    def sign_in(self, authorization_url: str, /, *, approve: bool = True) -> str:
        """Act as the person: open *authorization_url*, approve or deny, and return the callback URL with its query.

        Raises `ValueError` when the provider shows an error page instead of the consent page.
        """
        url = urlsplit(authorization_url)
        response = self.handle("GET", url.path, query=url.query)
        if response.status == 200:
            found = re.search(rb'name="request" value="([^"]+)"', response.body)
            decision = {"request": found[1].decode() if found else "", "decision": "approve" if approve else "deny"}
            response = self.handle("POST", "/consent", headers=FORM, body=urlencode(decision).encode())
        if "location" not in response.headers:
            raise ValueError(f"the provider does not accept this authorization request (status {response.status})")
        return response.headers["location"]

    def handle(
        self, method: str, url_path: str, /, *, query: str = "", headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> HttpResponse:
        """Answer one request with its whole answer, whatever is planned for its delivery."""
        with self.receive(method, url_path, query=query, headers=headers, body=body) as answer:
            return answer.response

    @contextmanager
    def receive(
        self, method: str, url_path: str, /, *, query: str = "", headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Generator[Answer]:
        """Process one request; it counts as under way until the block ends."""
        lowered = {name.lower(): value for name, value in (headers or {}).items()}
        with self._lock:
            answer, grant = self._process(Request(method=method, path=url_path, query=query, headers=lowered, body=body))
            self._under_way[_ANY] += 1
            self._busiest = max(self._busiest, self._under_way[_ANY])
            if grant:
                self._under_way[grant] += 1
                self._in_flight_max = max(self._in_flight_max, self._under_way[grant])
        try:
            yield answer
        finally:
            with self._lock:
                self._under_way[_ANY] -= 1
                if grant:
                    self._under_way[grant] -= 1

    def _process(self, request: Request) -> tuple[Answer, str]:
        endpoint = endpoint_of(request)
        planned = self._take_plan(endpoint)
        what = planned.what if planned else None
        delivery = Delivery.WHOLE if what is None else DELIVERIES.get(what, Delivery.WHOLE)
        work = Work(request=request, what=what, presented=presented_by(endpoint, request))
        if delivery is not Delivery.REFUSED:
            self._answer(endpoint, work, planned)
            self._requests.append(
                ReceivedRequest(
                    number=len(self._requests) + 1,
                    at=self.clock.now(),
                    endpoint=endpoint,
                    grant_type={"exchange": "authorization_code", "refresh": "refresh_token", "poll": GRANT_TYPE}.get(endpoint),
                    presented=work.presented and work.presented[:16],
                    issued=tuple(digest[:16] for digest in work.issued),
                    reused=work.reused,
                    outcome=work.outcome,
                    status=work.response.status,
                    misbehaviour=what,
                )
            )
        held = self._tokens.get(work.presented or "")
        grant = held.grant.number if held and endpoint == "refresh" else ""
        return Answer(response=work.response, delivery=delivery, delay=planned.delay if planned else timedelta()), grant

    def _take_plan(self, endpoint: str) -> Planned | None:
        for plan in self._plans:
            if is_at(plan.endpoint, endpoint):
                if plan.left is not None:
                    plan.left -= 1
                    if not plan.left:
                        self._plans.remove(plan)
                return plan.planned
        return None
