"""The endpoints: authorization, consent, device codes, token, revocation, and "who am I"."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote_plus, urlencode, urlsplit

from cloud_integrations.domain.dpop import USE_NONCE
from cloud_integrations.domain.secret import Secret
from cloud_integrations.protocol.http import HttpResponse

from .consent_page import consent_page, page_headers
from .devices import Devices
from .misbehaviour import KEEPS_REFRESH_TOKEN, Misbehaviour, Planned
from .requests import Work, decode_basic, digest_of, read_single
from .tokens import Asked, Code, SimulatedGrant
from .wrong_answers import STRAYS, json_answer, refuse, spoil

_REDIRECT_URI = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+(?:/[^\s#]*)?")


class Endpoints(Devices):
    """Answers requests.  Its methods are called while the lock is held."""

    def _answer(self, endpoint: str, work: Work, planned: Planned | None) -> None:
        if planned and (refusal := refuse(planned)):
            work.outcome, work.response = refusal
            return
        match endpoint:
            case "authorize":
                self._authorize(work)
            case "consent":
                self._consent(work)
            case "device" | "poll" | "exchange" | "refresh":
                self._token(endpoint, work)
            case "revoke":
                self._revoke(work)
            case "me":
                self._me(work)
            case "keys":
                self._keys_made(work)
            case "resources":
                self._listed(work)
            case _:
                work.refuse("not_found", 404)
        if planned:
            work.response = spoil(planned.what, work.response)

    def _authorize(self, work: Work) -> None:
        asked = read_single(work.request.query)
        if asked is None or asked.get("client_id") != self._client_id:
            return work.complain("The application is not known here, or a parameter came twice.")
        redirect_uri = asked.get("redirect_uri", "")
        if not _REDIRECT_URI.fullmatch(redirect_uri):
            return work.complain("The redirect URI is missing or malformed.")
        consent = Asked(
            redirect_uri=redirect_uri,
            state=asked.get("state"),
            challenge=asked.get("code_challenge", ""),
            key=asked.get("dpop_jkt", ""),
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

    def _consent(self, work: Work) -> None:
        form = read_single(work.request.body.decode("utf-8", "replace")) or {}
        consent = self._consents.pop(form.get("request", ""), None)
        if consent is None:
            return work.complain("This page was already answered, or never shown.")
        return self._send_back(work, consent, error=None if form.get("decision") == "approve" else "access_denied")

    def _send_back(self, work: Work, consent: Asked, *, error: str | None = None) -> None:
        answer: dict[str, str] = {}
        if error is None:
            code = f"fake-code-{self._entropy.bytes(16).hex()}"
            self._codes[digest_of(code)] = Code(asked=consent, account=self._person(consent.what), issued_at=self.clock.now())
            work.issued.append(digest_of(code))
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

    def _token(self, endpoint: str, work: Work) -> None:
        form = read_single(work.request.body.decode("utf-8", "replace"))
        if form is None or work.request.method != "POST" or not work.request.is_form:
            return work.refuse("invalid_request")
        if not self._knows_client(work, form) or (endpoint != "device" and not self._proves_key(work)):
            return None
        match endpoint:
            case "device":
                self._begin_device(work, form)
            case "poll":
                grant = self._decide_device(work)
                if grant is not None:
                    self._give(work, grant, refresh=self._new_refresh(grant))
            case "exchange":
                self._exchange(work, form)
            case _:
                self._refresh(work, form)
        return None

    def _knows_client(self, work: Work, form: Mapping[str, str]) -> bool:
        """Say whether the client is authenticated, by header or in the form, not both (RFC 6749 §2.3.1); refuse the request if not."""
        scheme, _, encoded = work.request.headers.get("authorization", "").partition(" ")
        given = (form.get("client_id", ""), form.get("client_secret", ""))
        if scheme:
            if "client_secret" in form:
                work.refuse("invalid_request")
                return False
            name, _, password = decode_basic(encoded if scheme.lower() == "basic" else "").partition(":")
            given = (unquote_plus(name), unquote_plus(password))
        client_id, secret = given
        is_known = hmac.compare_digest(client_id.encode(), self._client_id.encode())
        if not is_known or Secret(secret) not in self._client_secrets:
            work.refuse("invalid_client", 401)
            return False
        return True

    def _proves_key(self, work: Work, access_token: str | None = None) -> bool:
        """Say whether the request carries a proof, if this provider binds its tokens to keys; refuse it if not (RFC 9449 §5, §7)."""
        if not self.dpop:
            return True
        work.key, error = self._proofs.read(
            work.request.headers.get("dpop", ""),
            http_method=work.request.method,
            url=self.base_url + work.request.path,
            now=self.clock.now().timestamp(),
            nonce=self.dpop_nonce,
            access_token=access_token,
        )
        if error:
            work.refuse(error, 400 if access_token is None else 401)
            challenge = {} if access_token is None else {"www-authenticate": f'DPoP error="{error}"'}
            nonce = {"dpop-nonce": self.dpop_nonce} if error == USE_NONCE and self.dpop_nonce else {}
            work.response = replace(work.response, headers={**work.response.headers, **challenge, **nonce})
        return not error

    def _exchange(self, work: Work, form: Mapping[str, str]) -> None:
        if form.get("grant_type") != "authorization_code":
            return work.refuse("unsupported_grant_type")
        code = self._codes.get(work.presented or "")
        if code is None:
            return work.refuse("invalid_grant")
        if code.grant is not None:
            # RFC 6749 §4.1.2: a code that is used twice ends the grant that it gave.
            work.reused = True
            code.grant.alive = False
            return work.refuse("invalid_grant")
        if code.asked.key not in {"", work.key}:
            return work.refuse("invalid_grant")
        grant = code.grant = SimulatedGrant(account=code.account, scopes=code.asked.scopes, key=work.key)
        verifier = form.get("code_verifier", "")
        # RFC 9700 §4.8.2: a verifier for a code that was requested without a challenge is a downgrade, and is refused.
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode() if verifier else ""
        on_time = self.clock.now() - code.issued_at < self.code_lifetime
        if not on_time or form.get("redirect_uri") != code.asked.redirect_uri or not hmac.compare_digest(challenge, code.asked.challenge):
            return work.refuse("invalid_grant")
        if work.what is Misbehaviour.OTHER_ACCOUNT:
            grant.account = self._person(work.what)
        refresh = None if work.what in KEEPS_REFRESH_TOKEN else self._new_refresh(grant)
        return self._give(work, grant, refresh=refresh)

    def _refresh(self, work: Work, form: Mapping[str, str]) -> None:
        held = self._tokens.get(work.presented or "")
        if held is None or held.kind != "refresh" or held.grant.key not in {"", work.key}:
            return work.refuse("invalid_grant")
        held.grant.key = work.key
        work.reused = held.spent_at is not None
        if not self._accepts(held):
            if work.reused and self.reuse == "family":
                held.grant.alive = False
            return work.refuse("invalid_grant")
        asked = tuple(form.get("scope", "").split())
        if not set(asked) <= set(held.grant.scopes):
            return work.refuse("invalid_scope")
        if self.ends_old_access:
            for other in self._tokens.values():
                other.ended |= other.kind == "access" and other.grant is held.grant
        refresh = None
        if work.what is Misbehaviour.REFRESH_TOKEN_SAME:
            refresh = form["refresh_token"]
        elif work.what is Misbehaviour.ROTATES_UNASKED or (self.rotation == "always" and work.what not in KEEPS_REFRESH_TOKEN):
            held.spent_at = held.spent_at or self.clock.now()
            refresh = self._new_refresh(held.grant)
        narrowed = asked if asked and work.what is not Misbehaviour.SCOPES_IGNORED else None
        return self._give(work, held.grant, refresh=refresh, scopes=narrowed)

    def _give(self, work: Work, grant: SimulatedGrant, *, refresh: str | None, scopes: tuple[str, ...] | None = None) -> None:
        if work.what is Misbehaviour.NARROWER_SCOPES:
            grant.scopes = grant.scopes[:-1]
        access = self._new_access(grant, longer="x" * 17_000 if work.what is Misbehaviour.LONG_ACCESS_TOKEN else "", scopes=scopes)
        work.issued += [digest_of(token) for token in (access, refresh) if token]
        answer: dict[str, Any] = {
            "access_token": access,
            "token_type": "DPoP" if self.dpop else "Bearer",
            "expires_in": int(self.access_lifetime.total_seconds()),
            "scope": " ".join(grant.scopes if scopes is None else scopes),
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

    def _revoke(self, work: Work) -> None:
        form = read_single(work.request.body.decode("utf-8", "replace"))
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

    def _me(self, work: Work) -> None:
        digest = work.presented or ""
        held = self._tokens.get(digest)
        scheme, _, token = work.request.headers.get("authorization", "").partition(" ")
        if held is not None and self.dpop and not self._proves_key(work, token if scheme.lower() == "dpop" else ""):
            return
        if held is not None and held.kind == "access" and held.grant.key == work.key and self._accepts(held):
            account, scopes = held.grant.account, held.grant.scopes if held.scopes is None else held.scopes
        elif digest in self._keys:
            account, scopes = self._keys[digest], ()
            if self.revokes_keys and work.request.method == "DELETE":
                del self._keys[digest]
                work.response = HttpResponse(status=204, headers={})
                return
        else:
            work.refuse("invalid_token", 401)
            work.response = replace(work.response, headers={**work.response.headers, "www-authenticate": 'Bearer error="invalid_token"'})
            return
        if work.what is Misbehaviour.OTHER_ACCOUNT:
            account = self._person(work.what)
        work.response = json_answer(200, {"id": account, "label": f"Account {account}", "scopes": list(scopes)})

    def _listed(self, work: Work) -> None:
        self._me(work)
        if work.response.status == 200:
            work.response = json_answer(200, list(self.resources or ()))

    def _keys_made(self, work: Work) -> None:
        """Make another key of the same account; where keys are rolled, it takes the place of the one in the request."""
        account = self._keys.get(work.presented or "")
        if account is None:
            return work.refuse("invalid_token", 401)
        if self.makes_keys is None or len(self._keys) >= self.most_keys:
            return work.refuse("forbidden", 403)
        if self.makes_keys == "roll":
            del self._keys[work.presented or ""]
        key = self.issue_api_key(account=account).reveal()
        work.issued.append(digest_of(key))
        work.response = json_answer(201, {"key": key, "id": account})
        return None
