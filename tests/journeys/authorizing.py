"""The authorization server of one provider, as its file describes it."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import timedelta
from itertools import count
from urllib.parse import parse_qsl, quote, unquote_plus, urlsplit

from cloud_integrations.domain.provider import fill
from cloud_integrations.domain.provider.base import RESERVED_PARAMETERS

from .answers import Body, answer, error, said_by_rule
from .credentials import WrongRequestError, expect, lowered
from .minting import written_time
from .samples import jwt, told
from .tenants import CLIENT_ID, CLIENT_SECRET

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
LIFE = timedelta(hours=8)


def single(text):
    """Return parameters, none of which comes twice."""
    pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text))
    expect(len(dict(pairs)) == len(pairs), "a parameter comes twice")
    return dict(pairs)


class AuthorizationServer:
    """Consents, codes and tokens of one method."""

    def __init__(self, tenant, checks, clock, redirect_uri):
        self.tenant, self.checks, self.clock, self.redirect_uri = tenant, checks, clock, redirect_uri
        self.provider, self.method = tenant.provider, tenant.method
        # The token endpoint of an installation answers for the person; that method says how.
        installation = self.method.installation
        self.person = self.method if installation is None else self.provider.method_named(installation.sign_in)
        self.known = {**tenant.filled, "client_id": CLIENT_ID}
        self.codes, self.device = {}, None
        self.refreshing = {}
        """The refresh tokens that work → their scopes."""
        self.spent, self.issued, self.revoked, self.asked_scopes = set(), set(), [], ""
        self.refreshes = 0
        self.told_variables = {}
        self.issuer = None if self.method.issuer is None else fill(self.method.issuer, self.known)
        self._numbers = count(1)
        self._pushed = {}

    def url(self, name):
        """Return the endpoint *name* of the file, or of the metadata that stands at the issuer."""
        if self.method.metadata is not None:
            return f"{self.issuer.rstrip('/')}/fake/{name}"
        template = {
            "authorize": self.method.authorize_url,
            "token": self.method.token_url,
            "refresh": self.method.refresh_url or self.method.token_url,
            "par": self.method.par_url,
            "device": self.method.device and self.method.device.url,
        }[name]
        return template and fill(template, self.known)

    # The browser

    def open(self, url, *, scopes):
        """Act as a person who opens *url* and consents; return the parameters that the browser comes back with."""
        base, _, query = url.partition("?")
        asked = single(query)
        if "request_uri" in asked:
            expect(asked.pop("client_id") == CLIENT_ID, "another client id")
            asked = self._pushed.pop(asked["request_uri"])
        elif self.method.par_url is not None:
            raise WrongRequestError("the request was not pushed")
        page, _, own = (self.url("authorize") or "").partition("?")
        expect(base == page, f"the browser was sent to {base}")
        state = asked.pop("state")
        fixed = {**single(own), **{name: fill(text, self.known) for name, text in self.method.authorize_params.items()}}
        for name, text in fixed.items():
            if name not in RESERVED_PARAMETERS:
                expect(asked.pop(name, None) == text, f"the parameter {name}")
        if self.method.callback.installation_from is not None:
            expect(not asked, f"the page takes state alone, not {sorted(asked)}")
            return self._come_back(state, "", "")
        for name, listed in self.method.scopes.extra_lists.items():
            expect(asked.pop(name, "") == self.method.scopes.separator.join(listed), f"the list {name}")
        expect(asked.pop("response_mode", None) == self.method.callback.response_mode, "another response_mode")
        expect(asked.pop("response_type") == "code", "another response_type")
        expect(asked.pop("client_id") == CLIENT_ID, "another client id")
        redirect_uri = asked.pop("redirect_uri")
        # Where the tenant chooses the server, nobody knows it before.
        self.redirect_uri = self.redirect_uri or redirect_uri
        expect(redirect_uri == self.redirect_uri, "a redirect URI that is not registered")
        challenge = ""
        if self.method.pkce != "off":
            challenge = asked.pop("code_challenge", "")
            expect(asked.pop("code_challenge_method", "") == "S256" and len(challenge) == 43, "no PKCE")
        self._check_scopes(asked.pop("scope", ""), scopes)
        if "openid" in self.asked_scopes.split(self.method.scopes.separator):
            expect(asked.pop("nonce", ""), "openid without nonce")
        expect(not asked, f"the parameters {sorted(asked)}, which the file does not have")
        return self._come_back(state, challenge, self.redirect_uri)

    def _check_scopes(self, sent, wanted):
        facts = self.method.scopes
        listed = dict.fromkeys((*wanted, *facts.always, *facts.offline))
        expect(sent == ("" if facts.fixed else facts.separator.join(listed)), f"the scopes {sent}")
        self.asked_scopes = sent

    def _come_back(self, state, challenge, redirect_uri):
        code, facts = f"fake-code-{next(self._numbers)}", self.method.callback
        self.codes[code] = challenge, redirect_uri
        back = {facts.code: code, "state": state}
        if self.issuer is not None:
            back["iss"] = self.issuer
        if facts.installation_from is not None:
            back[facts.installation_from] = self.tenant.installation_id
        if facts.site_from is not None:
            back[facts.site_from] = next(iter(self.provider.sites))
        return back

    def enter_code(self):
        self.device["entered"] = True

    # Endpoints

    def answer(self, request):
        """Answer a request of an endpoint; None: it is none."""
        for method in (self.method, self.person):
            facts = method.revoke
            if facts is not None and facts.url is not None and (request.method, request.url) == (facts.method, fill(facts.url, self.known)):
                return self._revoke(request, facts)
        if request.method == "GET":
            return self._show(request)
        if request.method != "POST" or (self.method.token_url is None and self.method.metadata is None):
            return None
        endpoints = {"par": self._push, "device": self._begin_device, "token": self._token, "refresh": self._token}
        return next((act(request) for name, act in endpoints.items() if request.url == self.url(name)), None)

    def _show(self, request):
        """Answer a request for the metadata, or for the list of installations."""
        if self.method.metadata is not None and request.url.startswith(self.issuer.rstrip("/") + "/.well-"):
            names = {"authorize": "authorization", "token": "token", "device": "device_authorization"}
            told = {"issuer": self.issuer, **{f"{long}_endpoint": self.url(short) for short, long in names.items()}}
            return answer(200, json.dumps(told).encode())
        listing = None if self.method.installation is None else self.method.installation.listing
        if listing is not None and request.url.startswith(fill(listing.url, self.known)):
            return self._list(request, listing)
        return None

    def _read(self, request):
        kind = lowered(request.headers).get("content-type")
        if self.method.body == "json":
            expect(kind == "application/json", f"a body of the type {kind}")
            return json.loads(request.body)
        expect(kind == "application/x-www-form-urlencoded", f"a body of the type {kind}")
        return single(request.body.decode())

    def _check_client(self, request, sent, *, way=None):
        """Refuse a client that authenticates in another way than the first of the file."""
        given = lowered(request.headers)
        for name, text in self.method.headers.get("token", {}).items():
            expect(given.get(name.lower()) == fill(text, self.known), f"a token request without {name}")
        way = way or self.method.client_auth[0]
        if way in {"basic", "basic_raw"}:
            pair = f"{CLIENT_ID}:{CLIENT_SECRET}" if way == "basic_raw" else f"{quote(CLIENT_ID, safe='')}:{quote(CLIENT_SECRET, safe='')}"
            expect(
                given.get("authorization") == "Basic " + base64.b64encode(pair.encode()).decode(),
                "the client is not authenticated by Basic",
            )
            expect("client_secret" not in sent, "the secret comes twice")
            sent.pop("client_id", None)
            return
        expect("authorization" not in given, "the client authenticates twice")
        expect(sent.pop("client_id", None) == CLIENT_ID, "another client id")
        expect(sent.pop("client_secret", None) == (CLIENT_SECRET if way == "post" else None), "another client secret")

    def _token(self, request):
        sent = self._read(request)
        grant = sent.pop("grant_type", None)
        if grant not in {"authorization_code", "refresh_token", DEVICE_GRANT}:
            # The token of a mint may come from the same endpoint.
            return None
        if grant == "refresh_token":
            expect(request.url == self.url("refresh"), "a refresh at another endpoint")
            return self._refresh(request, sent)
        expect(request.url == self.url("token"), "a code at another endpoint")
        way = "none" if grant == DEVICE_GRANT and self.method.device.client_auth == "none" else None
        self._check_client(request, sent, way=way)
        for name, text in self.method.token_params.items():
            expect(sent.pop(name, None) == fill(text, self.known), f"the parameter {name}")
        if grant == DEVICE_GRANT:
            expect(sent == {"device_code": self.device["code"]}, f"a poll with {sorted(sent)}")
            return self._give() if self.device["entered"] else error(400, "authorization_pending")
        code = sent.pop("code")
        expect(code in self.codes, "a code that was never given, or is spent")
        challenge, redirect_uri = self.codes.pop(code)
        sent_uri = sent.pop("redirect_uri", None)
        expect(sent_uri == redirect_uri or (not redirect_uri and sent_uri == self.redirect_uri), "another redirect URI")
        verifier = sent.pop("code_verifier", "")
        hashed = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode() if verifier else ""
        expect(hashed == challenge, "the verifier does not fit the challenge")
        expect(not sent, f"the parameters {sorted(sent)}, which the file does not have")
        return self._give()

    def _refresh(self, request, sent):
        self._check_client(request, sent)
        token = sent.pop("refresh_token")
        for name, text in self.method.refresh_params.items():
            wanted = self.redirect_uri if name == "redirect_uri" else fill(text, self.known)
            expect(sent.pop(name, None) == wanted, f"the parameter {name}")
        expect(not sent, f"the parameters {sorted(sent)}, which the file does not have")
        if token not in self.refreshing:
            expect(token not in self.spent, "a refresh token that is spent")
            said = said_by_rule(self.provider, self.method.id, "token", {"reauthorize", "dead"})
            return said or error(400, "invalid_grant")
        self.refreshes += 1
        rotates = self.method.refresh_token.rotates in {"always", "unknown", "configurable", "sometimes"}
        if rotates:
            del self.refreshing[token]
            self.spent.add(token)
        return self._give(refresh=rotates)

    def _give(self, *, refresh=True):
        number, method, body = next(self._numbers), self.person, Body()
        names, access = method.reply.map, f"fake-access-{next(self._numbers)}"
        if self.tenant.claims:
            access = jwt({**self.tenant.claims, "jti": str(number)})
        later = body.satisfy(method.reply.success)
        body.put(names.get("access_token", "access_token"), access)
        body.put(names.get("token_type", "token_type"), "Bearer")
        facts = method.access_token
        if facts.expires_in in {"always", "conditional"}:
            encoding = method.reply.encodings.get("expires_in", facts.expiry_encoding)
            path = facts.expiry_field or names.get("expires_in", "expires_in")
            body.put(path, written_time(encoding, self.clock.now(), LIFE))
        if refresh and method.refresh_token.issued and facts.expires_in != "never":
            token = f"fake-refresh-{number}"
            self.refreshing[token] = self.asked_scopes
            body.put(names.get("refresh_token", "refresh_token"), token)
        scopes = method.scopes
        if not scopes.fixed and self.asked_scopes:
            granted = [scope for scope in self.asked_scopes.split(scopes.separator) if scope not in scopes.unlisted]
            body.put(scopes.reply_field, (scopes.reply_separator or scopes.separator).join(granted))
        for each in self.provider.variables:
            if each.source == "token_reply":
                said, self.told_variables[each.name] = told(each)
                body.put(names.get(each.name, each.name), said)
                self.checks.known[each.name] = self.tenant.filled[each.name] = self.told_variables[each.name]
        for path in later:
            body.put(path, "fake")
        self.checks.live.append({"access_token": access})
        self.issued |= {access, *self.refreshing}
        return answer(200, body)

    def _push(self, request):
        sent = self._read(request)
        self._check_client(request, sent)
        self._pushed[uri := f"urn:fake:{next(self._numbers)}"] = {"client_id": CLIENT_ID, **sent}
        return answer(201, json.dumps({"request_uri": uri, "expires_in": 60}).encode())

    def _begin_device(self, request):
        sent = self._read(request)
        self._check_client(request, sent, way="none" if self.method.device.client_auth == "none" else None)
        self.asked_scopes = sent.pop("scope", "")
        self.device = {"code": "fake-device-code", "entered": False}
        page = "{0.scheme}://{0.netloc}/device".format(urlsplit(request.url))
        told = {"device_code": "fake-device-code", "user_code": "FAKE-CODE", "verification_uri": page, "expires_in": 900, "interval": 5}
        return answer(200, json.dumps(told).encode())

    def _list(self, request, listing):
        token = lowered(request.headers).get("authorization", "").removeprefix("Bearer ")
        expect({"access_token": token} in self.checks.live, "a list for a token that nobody has")
        for name, text in listing.headers.items():
            expect(lowered(request.headers).get(name.lower()) == text, f"a list without {name}")
        body = Body()
        body.put(listing.at, [])
        if request.url.endswith("page=1"):
            entry = Body()
            number = self.tenant.installation_id
            entry.put(listing.id, int(number) if number.isdigit() else number)
            entry.put(listing.account, "fake-account")
            if listing.label is not None:
                entry.put(listing.label, "fake-label")
            body = Body()
            body.put(listing.at, [entry.value])
        return answer(200, body)

    # Revocation

    def _revoke(self, request, facts):
        given, token = lowered(request.headers), None
        for name, text in facts.headers.items():
            expect(given.get(name.lower()) == fill(text, self.known), f"a revocation without {name}")
        if facts.body == "none":
            expect(not request.body, "a revocation with a body")
            token = given["authorization"].removeprefix("Bearer ")
        else:
            sent = json.loads(request.body) if facts.body == "json" else single(request.body.decode())
            token = sent.pop(facts.param)
            hint = sent.pop("token_type_hint", None)
            kind = "refresh_token" if "refresh" in token else "access_token"
            expect(
                hint in {None, kind} and (hint is None) == (not facts.hint or facts.body != "form" or facts.param != "token"),
                f"the hint {hint}",
            )
            self._check_revoker(given, sent, token, facts)
            expect(not sent, f"the parameters {sorted(sent)}, which the file does not have")
        access = next((parts for parts in self.checks.live if token in parts.values()), None)
        # RFC 7009 §2.2: a token that has ended already is revoked, too.
        expect(access is not None or token in self.issued, "the revocation of a token that was never given")
        if access is not None:
            self.checks.live.remove(access)
        self.refreshing.pop(token, None)
        if facts.kills != "token":
            self.checks.live.clear()
        self.revoked.append(token)
        body = Body()
        for path in body.satisfy(facts.success):
            body.put(path, "fake")
        status = facts.statuses[0]
        return answer(status, None if status == 204 else body)

    def _check_revoker(self, given, sent, token, facts):
        """Refuse a client that is not authenticated as the file says; left out, as at the token endpoint."""
        as_token = facts.param == "token" and "auth" not in facts.model_fields_set
        if facts.auth == "bearer":
            expect(given.get("authorization") == f"Bearer {token}", "the token does not authenticate its own end")
            return
        way = self.method.client_auth[0] if as_token else {"client_basic": "basic", "client_post": "post", "none": None}[facts.auth]
        if way is None:
            expect("authorization" not in given, "a revocation with credentials that the file does not have")
            return
        user, _, secret = base64.b64decode(given.get("authorization", "").removeprefix("Basic ")).decode().partition(":")
        if way in {"basic", "basic_raw"}:
            expect((unquote_plus(user), unquote_plus(secret)) == (CLIENT_ID, CLIENT_SECRET), "the client is not authenticated by Basic")
            sent.pop("client_id", None)
        else:
            expect(not user, "the client authenticates twice")
            expect(sent.pop("client_id", None) == CLIENT_ID, "another client id")
            expect(sent.pop("client_secret", None) == (CLIENT_SECRET if way == "post" else None), "another client secret")
