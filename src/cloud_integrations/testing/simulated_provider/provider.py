"""A provider that lives in memory: a real authorization server, an API to ask "who am I", and the oracle of a test.

It follows RFC 6749 (code and refresh), RFC 7636 (S256 only), RFC 7009 and RFC 9207, and goes wrong on
request.  It keeps the hashes of its tokens alone, so that neither its log nor its `repr` can show one.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from urllib.parse import urlencode, urlsplit

from cloud_integrations.domain.application import OAuthApplication
from cloud_integrations.domain.provider import AccessTokenFacts, Input, Method, Provider, RefreshTokenFacts, Revoke, Scopes, Verification
from cloud_integrations.protocol.http import HttpResponse

from .endpoints import Endpoints
from .misbehaviour import DELIVERIES, USUAL_PLACE, Delivery, Endpoint, Misbehaviour, Planned
from .oracle import Oracle
from .requests import FORM, Answer, ReceivedRequest, Request, Work, endpoint_of, is_at, presented_by
from .tokens import Plan

_ANY = ""


class SimulatedProvider(Endpoints, Oracle):
    """A provider in memory; safe to share between threads.

    `slug` names it in the catalogue: `github`, say, for an application that asks for GitHub.  Its twin `<slug>_keys` takes API
    keys; with `takes_keys`, so does the provider itself.  `clock` decides what has
    expired (left out: the wall clock, as with a manager), `entropy` makes the tokens (left out: others every time).
    `rotation` and `reuse` say what becomes of refresh tokens, `grace` how long a spent one works under
    `reuse="grace"`; with `ends_old_access`, renewing ends the older access tokens.  `kills` says what a revocation ends:
    the token and what came by the same consent, or everything that the account has granted.  `auto_approve` answers an
    authorization at once, without the consent page.  Without `require_pkce` an authorization may come without a challenge, and
    its code is then spent without a verifier, as many providers still allow.

    `account` is who is signed in at the provider; assign to it, and somebody else is.
    """

    def __repr__(self) -> str:
        return f"SimulatedProvider(slug={self.slug!r}, requests={len(self._requests)})"

    def catalogue_entries(self, base_url: str | None = None, /) -> tuple[Provider, Provider]:
        """Describe this provider twice: with OAuth2, and (as `<slug>_keys`) with an API key.

        A *base_url* is where the provider answers from now on.
        """
        if base_url is not None:
            self.base_url = base_url.rstrip("/")
        url = self.base_url
        who_am_i = Verification(
            url=f"{url}/me", identity=("json:id",), label=("json:label",), status_rules={401: "dead", 403: "alive_but_denied"}
        )
        by_code = Method(
            id="code",
            kind="code",
            authorize_url=f"{url}/authorize",
            token_url=f"{url}/token",
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
            revoke=Revoke(url=f"{url}/revoke", kills=self.kills),
        )
        by_key = Method(id="key", kind="key", inputs=(Input(name="key", label="API key", patterns=("fake-key-.+",)),))
        return (
            Provider(
                id=self.slug,
                name="Simulated",
                category="test",
                methods=(by_code, by_key) if self.takes_keys else (by_code,),
                verifications=(who_am_i,),
                loopback=True,
            ),
            Provider(
                id=f"{self.slug}_keys",
                name="Simulated (keys)",
                category="test",
                methods=(by_key,),
                verifications=(who_am_i,),
                loopback=True,
            ),
        )

    def application(self, *, redirect_uris: tuple[str, ...] = ()) -> OAuthApplication:
        """Return the one application that is registered here; its id and secret are plainly fake."""
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
        """Go wrong the next *times* that *endpoint* is asked; None: until `behave`.

        Left out, the endpoint is the token endpoint, or the one that *what* belongs to.  Several plans
        happen one after the other, one a request.  *delay* passes before the answer, whatever it is.
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
        """Be the person: open *authorization_url*, decide, and return the callback URL.

        Raises `ValueError` when the provider shows a complaint instead of the consent page.
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
        """Answer one request, delivered whole whatever is planned for its delivery."""
        with self.receive(method, url_path, query=query, headers=headers, body=body) as answer:
            return answer.response

    @contextmanager
    def receive(
        self, method: str, url_path: str, /, *, query: str = "", headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Generator[Answer]:
        """Process one request; it is under way until the block ends."""
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
                    grant_type={"exchange": "authorization_code", "refresh": "refresh_token"}.get(endpoint),
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
