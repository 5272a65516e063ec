"""A provider that lives in memory: a real authorization server, an API to ask "who am I", and the oracle of a test.

It follows RFC 6749 (code and refresh), RFC 7636 (S256 only), RFC 7009 and RFC 9207, and goes wrong on
request.  It keeps the hashes of its tokens alone, so that neither its log nor its `repr` can show one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import threading
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

from cloud_integrations.domain.application import OAuthApplication
from cloud_integrations.domain.provider import AccessTokenFacts, Input, Method, Provider, RefreshTokenFacts, Revoke, Scopes, Verification
from cloud_integrations.domain.secret import Secret
from cloud_integrations.ports.clock import Clock, Entropy
from cloud_integrations.protocol.http import HttpResponse
from cloud_integrations.runtime.clock import SystemClock
from cloud_integrations.testing.clock import SeededEntropy

from .consent_page import complaint_page, consent_page, page_headers
from .misbehaviour import DELIVERIES, KEEPS_REFRESH_TOKEN, USUAL_PLACE, Delivery, Endpoint, Misbehaviour, Planned
from .wrong_answers import STRAYS, json_answer, refuse, spoil

IN_MEMORY_URL = "https://simulated.example"
"""Where the provider says it is, as long as no server listens."""

Rotation = Literal["always", "never"]
Reuse = Literal["strict", "family", "tolerant", "grace"]
"""What a spent refresh token does: nothing; end its whole grant; work; work for a while."""


class IssuedGrant(NamedTuple):
    """The tokens of a grant that no authorization asked for."""

    access: Secret
    refresh: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedRequest:
    """One request as the provider saw it; tokens appear as their ids (see `token_id`)."""

    number: int
    at: datetime
    endpoint: str
    grant_type: str | None = None
    presented: str | None = None
    """The id of the token, code or key that came with the request."""
    issued: tuple[str, ...] = ()
    """The ids of the new tokens."""
    reused: bool = False
    """A spent refresh token, or a spent code, came again."""
    outcome: str = "ok"
    """`ok`, an OAuth error code, `swallowed`, `not_found`, or `error` for a failure of the server itself."""
    status: int = 0
    misbehaviour: Misbehaviour | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer, and how it is brought to the one who asked."""

    response: HttpResponse
    delivery: Delivery = Delivery.WHOLE
    delay: timedelta = timedelta()


def token_id(token: str | Secret, /) -> str:
    """Name a token without showing it: 16 hex digits of its SHA-256."""
    return _digest(token)[:16]


class SimulatedProvider:
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

    def __init__(
        self,
        *,
        slug: str = "simulated",
        takes_keys: bool = False,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
        rotation: Rotation = "always",
        reuse: Reuse = "strict",
        grace: timedelta = timedelta(seconds=30),
        access_lifetime: timedelta = timedelta(hours=1),
        code_lifetime: timedelta = timedelta(minutes=1),
        ends_old_access: bool = False,
        kills: Literal["token", "grant"] = "token",
        auto_approve: bool = False,
        require_pkce: bool = True,
        account: str = "acct-1",
        base_url: str = IN_MEMORY_URL,
    ) -> None:
        self.slug = slug
        self.takes_keys = takes_keys
        self.clock: Clock = SystemClock() if clock is None else clock
        self.rotation: Rotation = rotation
        self.reuse: Reuse = reuse
        self.grace = grace
        self.access_lifetime = access_lifetime
        self.code_lifetime = code_lifetime
        self.ends_old_access = ends_old_access
        self.kills: Literal["token", "grant"] = kills
        self.auto_approve = auto_approve
        self.require_pkce = require_pkce
        self.account = account
        self.base_url = base_url
        self._entropy: Entropy = SeededEntropy(secrets.token_hex()) if entropy is None else entropy
        self._lock = threading.RLock()
        self._requests: list[ReceivedRequest] = []
        self._plans: list[_Plan] = []
        self._consents: dict[str, _Asked] = {}
        self._codes: dict[str, _Code] = {}
        self._tokens: dict[str, _Token] = {}
        self._keys: dict[str, str] = {}
        self._under_way: Counter[str] = Counter()
        self._in_flight_max = 0
        self._busiest = 0
        self._client_id = "fake-client-id"
        self._client_secret = Secret(f"fake-client-secret-{self._entropy.bytes(8).hex()}")
        self.valid_api_key = self.issue_api_key()
        """A key that works until `revoke_api_key`."""
        self.invalid_api_key = Secret("fake-key-that-never-worked")

    def __repr__(self) -> str:
        return f"SimulatedProvider(slug={self.slug!r}, requests={len(self._requests)})"

    # For the catalogue and the configuration

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

    # For the test: go wrong

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
            self._plans.append(_Plan(planned=Planned(what=what, delay=delay, retry_after=retry_after), endpoint=place, left=times))

    def behave(self) -> None:
        """Forget every misbehaviour that has not happened yet."""
        with self._lock:
            self._plans.clear()

    # For the test: tokens without an authorization

    def issue_grant(self, *, scopes: tuple[str, ...] = ("read", "write"), account: str | None = None) -> IssuedGrant:
        """Give out the tokens of a new grant."""
        with self._lock:
            grant = _Grant(account=account or self.account, scopes=scopes)
            return IssuedGrant(access=Secret(self._new_access(grant)), refresh=Secret(self._new_refresh(grant)))

    def revoke_grant(self, token: str | Secret | None = None, /) -> None:
        """End the grant that *token* belongs to without telling anybody; left out, every grant.

        Raises `KeyError` when the provider never issued *token*.
        """
        with self._lock:
            for held in self._tokens.values() if token is None else (self._tokens[_digest(token)],):
                held.grant.alive = False

    def expire_access(self, token: str | Secret, /) -> None:
        """End one access token ahead of its time.  Raises `KeyError` when the provider never issued it."""
        with self._lock:
            self._tokens[_digest(token)].ended = True

    def issue_api_key(self, *, account: str | None = None) -> Secret:
        """Make another API key that works."""
        with self._lock:
            key = f"fake-key-{self._entropy.bytes(16).hex()}"
            self._keys[_digest(key)] = account or self.account
            return Secret(key)

    def revoke_api_key(self, key: str | Secret, /) -> None:
        """Let *key* work no longer."""
        with self._lock:
            self._keys.pop(_digest(key), None)

    def sign_in(self, authorization_url: str, /, *, approve: bool = True) -> str:
        """Be the person: open *authorization_url*, decide, and return the callback URL.

        Raises `ValueError` when the provider shows a complaint instead of the consent page.
        """
        url = urlsplit(authorization_url)
        response = self.handle("GET", url.path, query=url.query)
        if response.status == 200:
            found = re.search(rb'name="request" value="([^"]+)"', response.body)
            decision = {"request": found[1].decode() if found else "", "decision": "approve" if approve else "deny"}
            response = self.handle("POST", "/consent", headers=_FORM, body=urlencode(decision).encode())
        if "location" not in response.headers:
            raise ValueError(f"the provider does not accept this authorization request (status {response.status})")
        return response.headers["location"]

    # For the test: the oracle

    @property
    def requests(self) -> tuple[ReceivedRequest, ...]:
        """Every request that arrived, in order."""
        with self._lock:
            return tuple(self._requests)

    def count(self, endpoint: Endpoint, /) -> int:
        """Count the requests that *endpoint* received."""
        return sum(_is_at(endpoint, request.endpoint) for request in self.requests)

    @property
    def refresh_count(self) -> int:
        """How many refresh requests arrived, whatever became of them."""
        return self.count("refresh")

    @property
    def in_flight_max(self) -> int:
        """The most refresh requests of one grant that were under way at once."""
        with self._lock:
            return self._in_flight_max

    @property
    def concurrency_max(self) -> int:
        """The most requests of any kind that were under way at once."""
        with self._lock:
            return self._busiest

    def is_alive(self, token: str | Secret, /) -> bool:
        """Say whether this access token, refresh token or API key would work now."""
        with self._lock:
            digest = _digest(token)
            held = self._tokens.get(digest)
            if held is None:
                return digest in self._keys
            return self._accepts(held)

    def grant_alive(self, token: str | Secret, /) -> bool:
        """Say whether the grant that *token* belongs to has not been ended."""
        with self._lock:
            held = self._tokens.get(_digest(token))
            return held is not None and held.grant.alive

    def living_grants(self) -> tuple[frozenset[str], ...]:
        """Return, for each grant of which a token still works, the ids of the tokens that do."""
        with self._lock:
            found: dict[int, set[str]] = {}
            for digest, held in self._tokens.items():
                if self._accepts(held):
                    found.setdefault(id(held.grant), set()).add(digest[:16])
            return tuple(frozenset(ids) for ids in found.values())

    def is_newest(self, refresh_token: str | Secret, /) -> bool:
        """Say whether *refresh_token* is the last one that its grant was given."""
        with self._lock:
            digest = _digest(refresh_token)
            held = self._tokens.get(digest)
            return held is not None and held.grant.newest == digest

    # For transports and servers

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
            answer, grant = self._process(_Request(method=method, path=url_path, query=query, headers=lowered, body=body))
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

    # Inside; the lock is held

    def _process(self, request: _Request) -> tuple[Answer, str]:
        endpoint = _endpoint_of(request)
        planned = self._take_plan(endpoint)
        what = planned.what if planned else None
        delivery = Delivery.WHOLE if what is None else DELIVERIES.get(what, Delivery.WHOLE)
        work = _Work(request=request, what=what, presented=_presented(endpoint, request))
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
            if _is_at(plan.endpoint, endpoint):
                if plan.left is not None:
                    plan.left -= 1
                    if not plan.left:
                        self._plans.remove(plan)
                return plan.planned
        return None

    def _answer(self, endpoint: str, work: _Work, planned: Planned | None) -> None:
        if planned and (refusal := refuse(planned)):
            work.outcome, work.response = refusal
            return
        match endpoint:
            case "authorize":
                self._authorize(work)
            case "consent":
                self._consent(work)
            case "exchange" | "refresh":
                self._token(endpoint, work)
            case "revoke":
                self._revoke(work)
            case "me":
                self._me(work)
            case _:
                work.refuse("not_found", 404)
        if planned:
            work.response = spoil(planned.what, work.response)

    def _authorize(self, work: _Work) -> None:
        asked = _single(work.request.query)
        if asked is None or asked.get("client_id") != self._client_id:
            return work.complain("The application is not known here, or a parameter came twice.")
        redirect_uri = asked.get("redirect_uri", "")
        if not _REDIRECT_URI.fullmatch(redirect_uri):
            return work.complain("The redirect URI is missing or malformed.")
        consent = _Asked(
            redirect_uri=redirect_uri,
            state=asked.get("state"),
            challenge=asked.get("code_challenge", ""),
            scopes=tuple(asked.get("scope", "").split()),
            what=work.what,
        )
        if asked.get("response_type") != "code":
            return self._send_back(work, consent, error="unsupported_response_type")
        without_pkce = not self.require_pkce and "code_challenge" not in asked and "code_challenge_method" not in asked
        if not without_pkce and (asked.get("code_challenge_method") != "S256" or len(consent.challenge) != 43):
            return self._send_back(work, consent, error="invalid_request")
        if self.auto_approve:
            return self._send_back(work, consent)
        request_id = self._entropy.bytes(32).hex()
        self._consents[request_id] = consent
        work.response = HttpResponse(
            status=200,
            headers=page_headers(form_target="{0.scheme}://{0.netloc}".format(urlsplit(redirect_uri))),
            body=consent_page(
                provider=self.slug, client_id=self._client_id, account=self.account, scopes=consent.scopes, request_id=request_id
            ),
        )
        return None

    def _consent(self, work: _Work) -> None:
        form = _single(work.request.body.decode("utf-8", "replace")) or {}
        consent = self._consents.pop(form.get("request", ""), None)
        if consent is None:
            return work.complain("This page was already answered, or never shown.")
        return self._send_back(work, consent, error=None if form.get("decision") == "approve" else "access_denied")

    def _send_back(self, work: _Work, consent: _Asked, *, error: str | None = None) -> None:
        answer: dict[str, str] = {}
        if error is None:
            code = f"fake-code-{self._entropy.bytes(16).hex()}"
            self._codes[_digest(code)] = _Code(asked=consent, account=self._person(consent.what), issued_at=self.clock.now())
            work.issued.append(_digest(code))
            answer["code"] = code
        else:
            work.outcome = answer["error"] = error
        if consent.state is not None:
            answer["state"] = consent.state
        if consent.what is Misbehaviour.ISSUER_WRONG:
            answer["iss"] = "https://elsewhere.example"
        elif consent.what is not Misbehaviour.ISSUER_MISSING:
            answer["iss"] = self.base_url
        separator = "&" if "?" in consent.redirect_uri else "?"
        work.response = HttpResponse(
            status=303,
            headers={
                "location": f"{consent.redirect_uri}{separator}{urlencode(answer)}",
                "cache-control": "no-store",
                "referrer-policy": "no-referrer",
            },
        )

    def _token(self, endpoint: str, work: _Work) -> None:
        form = _single(work.request.body.decode("utf-8", "replace"))
        if form is None or work.request.method != "POST" or not work.request.is_form:
            return work.refuse("invalid_request")
        if not self._knows_client(work, form):
            return None
        if endpoint == "exchange":
            return self._exchange(work, form)
        return self._refresh(work, form)

    def _knows_client(self, work: _Work, form: Mapping[str, str]) -> bool:
        """RFC 6749 §2.3.1: by header or in the form, not both."""
        scheme, _, encoded = work.request.headers.get("authorization", "").partition(" ")
        given = (form.get("client_id", ""), form.get("client_secret", ""))
        if scheme:
            if "client_secret" in form:
                work.refuse("invalid_request")
                return False
            name, _, password = _decode_basic(encoded if scheme.lower() == "basic" else "").partition(":")
            given = (unquote_plus(name), unquote_plus(password))
        known = (self._client_id, self._client_secret.reveal())
        if not all(hmac.compare_digest(a.encode(), b.encode()) for a, b in zip(given, known, strict=True)):
            work.refuse("invalid_client", 401)
            return False
        return True

    def _exchange(self, work: _Work, form: Mapping[str, str]) -> None:
        if form.get("grant_type") != "authorization_code":
            return work.refuse("unsupported_grant_type")
        code = self._codes.get(work.presented or "")
        if code is None:
            return work.refuse("invalid_grant")
        if code.grant is not None:
            # RFC 6749 §4.1.2: a code that comes twice ends what it brought.
            work.reused = True
            code.grant.alive = False
            return work.refuse("invalid_grant")
        grant = code.grant = _Grant(account=code.account, scopes=code.asked.scopes)
        verifier = form.get("code_verifier", "")
        # RFC 9700 §4.8.2: a verifier for a code that was asked for without a challenge is a downgrade, and refused.
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode() if verifier else ""
        on_time = self.clock.now() - code.issued_at < self.code_lifetime
        if not on_time or form.get("redirect_uri") != code.asked.redirect_uri or not hmac.compare_digest(challenge, code.asked.challenge):
            return work.refuse("invalid_grant")
        if work.what is Misbehaviour.OTHER_ACCOUNT:
            grant.account = self._person(work.what)
        refresh = None if work.what in KEEPS_REFRESH_TOKEN else self._new_refresh(grant)
        return self._give(work, grant, refresh=refresh)

    def _refresh(self, work: _Work, form: Mapping[str, str]) -> None:
        held = self._tokens.get(work.presented or "")
        if held is None or held.kind != "refresh":
            return work.refuse("invalid_grant")
        work.reused = held.spent_at is not None
        if not self._accepts(held):
            if work.reused and self.reuse == "family":
                held.grant.alive = False
            return work.refuse("invalid_grant")
        if not set(form.get("scope", "").split()) <= set(held.grant.scopes):
            return work.refuse("invalid_scope")
        if self.ends_old_access:
            for other in self._tokens.values():
                other.ended |= other.kind == "access" and other.grant is held.grant
        refresh = None
        if work.what is Misbehaviour.REFRESH_TOKEN_SAME:
            refresh = form["refresh_token"]
        elif self.rotation == "always" and work.what not in KEEPS_REFRESH_TOKEN:
            held.spent_at = held.spent_at or self.clock.now()
            refresh = self._new_refresh(held.grant)
        return self._give(work, held.grant, refresh=refresh)

    def _give(self, work: _Work, grant: _Grant, *, refresh: str | None) -> None:
        if work.what is Misbehaviour.NARROWER_SCOPES:
            grant.scopes = grant.scopes[:-1]
        access = self._new_access(grant, longer="x" * 17_000 if work.what is Misbehaviour.LONG_ACCESS_TOKEN else "")
        work.issued += [_digest(token) for token in (access, refresh) if token]
        answer: dict[str, Any] = {
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": int(self.access_lifetime.total_seconds()),
            "scope": " ".join(grant.scopes),
        }
        if refresh is not None:
            answer["refresh_token"] = refresh
        if work.what is not None and work.what in STRAYS:
            name, value = STRAYS[work.what]
            answer[name] = value
            if value is ...:
                del answer[name]
        elif work.what is Misbehaviour.EXPIRES_IN_TEXT:
            answer["expires_in"] = str(answer["expires_in"])
        work.response = json_answer(200, answer)

    def _revoke(self, work: _Work) -> None:
        form = _single(work.request.body.decode("utf-8", "replace"))
        if form is None or not form.get("token") or work.request.method != "POST" or not work.request.is_form:
            return work.refuse("invalid_request")
        if not self._knows_client(work, form):
            return None
        held = self._tokens.get(work.presented or "")
        if held is not None:
            held.ended = True
            if held.kind == "refresh":
                held.grant.alive = False
            if self.kills == "grant":
                for other in self._tokens.values():
                    other.grant.alive &= other.grant.account != held.grant.account
        work.response = HttpResponse(status=200, headers={"cache-control": "no-store"})
        return None

    def _me(self, work: _Work) -> None:
        digest = work.presented or ""
        held = self._tokens.get(digest)
        if held is not None and held.kind == "access" and self._accepts(held):
            account, scopes = held.grant.account, held.grant.scopes
        elif digest in self._keys:
            account, scopes = self._keys[digest], ()
        else:
            work.refuse("invalid_token", 401)
            work.response = replace(work.response, headers={**work.response.headers, "www-authenticate": 'Bearer error="invalid_token"'})
            return
        if work.what is Misbehaviour.OTHER_ACCOUNT:
            account = self._person(work.what)
        work.response = json_answer(200, {"id": account, "label": f"Account {account}", "scopes": list(scopes)})

    def _person(self, what: Misbehaviour | None) -> str:
        return f"{self.account}-other" if what is Misbehaviour.OTHER_ACCOUNT else self.account

    def _accepts(self, held: _Token) -> bool:
        now = self.clock.now()
        if held.ended or not held.grant.alive or (held.expires_at is not None and now >= held.expires_at):
            return False
        if held.spent_at is None or self.reuse == "tolerant":
            return True
        return self.reuse == "grace" and now - held.spent_at <= self.grace

    def _new_access(self, grant: _Grant, *, longer: str = "") -> str:
        token = f"fake-access-{self._entropy.bytes(16).hex()}{longer}"
        self._tokens[_digest(token)] = _Token(grant=grant, kind="access", expires_at=self.clock.now() + self.access_lifetime)
        return token

    def _new_refresh(self, grant: _Grant) -> str:
        token = f"fake-refresh-{self._entropy.bytes(16).hex()}"
        grant.newest = _digest(token)
        self._tokens[grant.newest] = _Token(grant=grant, kind="refresh")
        grant.number = grant.number or grant.newest
        return token


_ANY = ""
_FORM = {"content-type": "application/x-www-form-urlencoded"}
_REDIRECT_URI = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+(?:/[^\s#]*)?")
_PATHS = {"/authorize": "authorize", "/consent": "consent", "/revoke": "revoke", "/me": "me"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    method: str
    path: str
    query: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def is_form(self) -> bool:
        return self.headers.get("content-type", "").partition(";")[0].strip() == _FORM["content-type"]


@dataclass(slots=True, kw_only=True)
class _Work:
    """One request on its way to its answer."""

    request: _Request
    what: Misbehaviour | None
    response: HttpResponse = field(default_factory=lambda: HttpResponse(status=503))
    outcome: str = "ok"
    presented: str | None = None
    issued: list[str] = field(default_factory=list)
    reused: bool = False

    def refuse(self, error: str, status: int = 400) -> None:
        self.outcome = error
        self.response = json_answer(status, {"error": error})

    def complain(self, problem: str) -> None:
        self.outcome = "invalid_request"
        self.response = HttpResponse(status=400, headers=page_headers(), body=complaint_page(problem=problem))


@dataclass(slots=True, kw_only=True)
class _Plan:
    planned: Planned
    endpoint: str
    left: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    redirect_uri: str
    state: str | None
    challenge: str
    scopes: tuple[str, ...]
    what: Misbehaviour | None


@dataclass(slots=True, kw_only=True)
class _Grant:
    account: str
    scopes: tuple[str, ...]
    alive: bool = True
    newest: str = ""
    number: str = ""
    """The digest of its first refresh token."""


@dataclass(slots=True, kw_only=True)
class _Code:
    asked: _Asked
    account: str
    issued_at: datetime
    grant: _Grant | None = None
    """Set when the code is spent."""


@dataclass(slots=True, kw_only=True)
class _Token:
    grant: _Grant
    kind: Literal["access", "refresh"]
    expires_at: datetime | None = None
    spent_at: datetime | None = None
    ended: bool = False


def _digest(token: str | Secret, /) -> str:
    text = token.reveal() if isinstance(token, Secret) else token
    return hashlib.sha256(text.encode()).hexdigest()


def _single(encoded: str, /) -> dict[str, str] | None:
    """Read parameters; None when one came twice (RFC 6749 §3.1)."""
    pairs = parse_qsl(encoded, keep_blank_values=True)
    found = dict(pairs)
    return found if len(found) == len(pairs) else None


def _endpoint_of(request: _Request, /) -> str:
    if request.path == "/token":
        return "refresh" if ("grant_type", "refresh_token") in parse_qsl(request.body.decode("utf-8", "replace")) else "exchange"
    return _PATHS.get(request.path, "unknown")


def _is_at(wanted: str, endpoint: str, /) -> bool:
    return wanted == endpoint or (wanted == "token" and endpoint in {"exchange", "refresh"})


def _presented(endpoint: str, request: _Request, /) -> str | None:
    """Return the digest of the token, code or key in the request."""
    if endpoint == "me":
        token = _credential(request)
    else:
        form = _single(request.body.decode("utf-8", "replace")) or {}
        token = form.get({"exchange": "code", "refresh": "refresh_token", "revoke": "token"}.get(endpoint, ""), "")
    return _digest(token) if token else None


def _credential(request: _Request, /) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else request.headers.get("x-api-key", "")


def _decode_basic(encoded: str, /) -> str:
    try:
        return base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
