"""What a host sends to a simulated provider."""

from __future__ import annotations

import base64
import hashlib
import json
from urllib.parse import parse_qs, quote_plus, urlencode, urlsplit

VERIFIER = "fake-verifier-" + "a" * 40
CALLBACK = "https://host.example/callback?context=1"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def ask(provider, **changes):
    """Return an authorization URL."""
    parameters = {
        "response_type": "code",
        "client_id": provider.application().client_id,
        "redirect_uri": CALLBACK,
        "state": "fake-state",
        "scope": "read write",
        "code_challenge": base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    } | changes
    return f"{provider.base_url}/authorize?{urlencode({name: value for name, value in parameters.items() if value is not None})}"


def come_back(provider, **changes):
    """Sign in and return what the callback brings."""
    return {name: values[0] for name, values in parse_qs(urlsplit(provider.sign_in(ask(provider, **changes))).query).items()}


def post(provider, path, form, *, basic=True, headers=()):
    application = provider.application()
    secret = application.client_secret.reveal()
    sent = dict(FORM) | dict(headers)
    if basic:
        pair = f"{quote_plus(application.client_id)}:{quote_plus(secret)}"
        sent.setdefault("Authorization", "Basic " + base64.b64encode(pair.encode()).decode())
    else:
        form = {**form, "client_id": application.client_id, "client_secret": secret}
    return provider.handle("POST", path, headers=sent, body=urlencode(form).encode())


def exchange(provider, code, **changes):
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER} | changes
    return post(provider, "/token", form)


def refresh(provider, token, **more):
    return post(provider, "/token", {"grant_type": "refresh_token", "refresh_token": token.reveal(), **more})


def error_of(response):
    return json.loads(response.body)["error"]


def who_am_i(provider, credential, header="Authorization", prefix="Bearer "):
    return provider.handle("GET", "/me", headers={header: prefix + credential})
