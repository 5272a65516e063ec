"""The authorization request and the answer to it (RFC 6749 §4.1.1, §4.1.2)."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri

from cloud_integrations.domain.provider import RESERVED_PARAMETERS, Callback
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import GrantRefusedError, ValidationFailedError

from .client import CallbackAnswer, Client
from .egress import LOOPBACK_HOSTS, EndpointRefusedError, read_target
from .pkce import challenge
from .scopes import join_scopes

MAX_STATE = 512
MAX_CODE = 4096
MAX_PARAMETERS = 20
KNOWN_ERRORS = frozenset({
    "access_denied", "invalid_request", "invalid_scope", "server_error", "temporarily_unavailable", "unauthorized_client",
    "unsupported_response_type",
    # OpenID Connect Core §3.1.2.6
    "account_selection_required", "consent_required", "interaction_required", "invalid_request_object", "invalid_request_uri",
    "login_required", "registration_not_supported", "request_not_supported", "request_uri_not_supported",
})  # fmt: skip
"""The values of `error` that are passed on; any other becomes `other`."""
REQUESTED = "installation_requested"
"""The error of an answer that says that nothing is installed, because somebody else must agree first."""

_STATE = re.compile(r"[A-Za-z0-9._~-]{43,512}\Z")
_VISIBLE = re.compile(r"[!-~]+\Z")


def build_authorization_url(client: Client, /, *, state: Secret, redirect_uri: str, scopes: Sequence[str], verifier: Secret | None) -> str:
    """Return the URL to open in the browser (RFC 6749 §4.1.1, RFC 7636 §4.3).

    *state* has 43 to 512 unreserved characters.  *scopes* are those to ask for (`scopes_to_request`); the scopes that make a provider
    issue a refresh token are added here.  *verifier* is the PKCE code verifier; None without PKCE.

    Neither the endpoint's own query nor the provider's data can set a parameter of the protocol, and no parameter is repeated.  If
    the scope `openid` is asked for, the URL has a `nonce` (OpenID Connect Core §3.1.2.1), which is made from the state.

    Raises `ValidationFailedError` for a redirect URI or scope that cannot be used, or a method without an authorization page, and
    `ValueError` for a state that is too short or a missing verifier.
    """
    if not _STATE.match(state.reveal()):
        raise ValueError("state has 43 to 512 unreserved characters: at least 256 random bits")
    if client.authorize_url is None:
        raise ValidationFailedError(field="method", problem="has no authorization page: it works by device code")
    if client.uses_pkce and verifier is None:
        raise ValueError("this provider's authorizations carry a code challenge")
    check_redirect_uri(redirect_uri, loopback=True)
    if client.method.callback.installation_from is not None:
        return str(add_params_to_uri(_with_extras(client, client.authorize_url), [("state", state.reveal())]))
    ours = {"code_challenge": challenge(verifier), "code_challenge_method": "S256"} if verifier is not None and client.uses_pkce else {}
    asked = join_scopes(client, (*scopes, *client.method.scopes.always, *client.method.scopes.offline))
    if "openid" in asked.split(client.method.scopes.separator):
        ours["nonce"] = _nonce(state)
    if client.method.callback.response_mode is not None:
        ours["response_mode"] = client.method.callback.response_mode
    return str(
        prepare_grant_uri(
            _with_extras(client, client.authorize_url),
            client.application.client_id,
            "code",
            redirect_uri,
            asked,
            state.reveal(),
            **ours,
        )
    )


def check_redirect_uri(uri: str, /, *, loopback: bool) -> str:
    """Return *uri* if a code may be sent there: an https URL with a host, without user name and fragment (RFC 6749 §3.1.2).

    With *loopback*, http to 127.0.0.1, [::1] or localhost is allowed too (RFC 8252 §7.3).

    Raises `ValidationFailedError` for any other URI.
    """
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValidationFailedError(field="redirectUri", problem="is not a URL") from None
    if not host or len(uri) > 2048 or not _VISIBLE.match(uri) or "\\" in uri or "#" in uri or "@" in parts.netloc:
        raise ValidationFailedError(field="redirectUri", problem="must be an absolute URL without user name and fragment")
    if parts.scheme != "https" and not (loopback and parts.scheme == "http" and host in LOOPBACK_HOSTS):
        raise ValidationFailedError(field="redirectUri", problem="must be https")
    try:
        read_target(uri, loopback=loopback, private_host=True)
    except EndpointRefusedError:
        raise ValidationFailedError(field="redirectUri", problem="must have a host name of letters, digits, hyphens and dots") from None
    return uri


def find_state(params: Iterable[tuple[str, str]], /) -> Secret | None:
    """Return the `state` of a callback, to find its authorization; None if it is missing, repeated, too long or not visible ASCII."""
    found = [value for name, value in params if name == "state"]
    if len(found) != 1 or not 1 <= len(found[0]) <= MAX_STATE or not _VISIBLE.match(found[0]):
        return None
    return Secret(found[0])


def read_callback(params: Iterable[tuple[str, str]], /, *, issuer: str | None, facts: Callback) -> CallbackAnswer:
    """Read the answer that the provider sent to the redirect URI (RFC 6749 §4.1.2).

    *issuer* is the one that was stored when the authorization began; an `iss` in the answer must equal it, in errors too (RFC 9207
    §2.4).  An answer with `error` is returned and not raised, even without a required `iss`, because its state must be consumed in any
    case.  `error_description` and `error_uri` are dropped.

    Raises `GrantRefusedError` with one of these reasons: `too_many_parameters`, `repeated_parameter`, `unexpected_token`,
    `state_missing`, `issuer_missing`, `issuer_mismatch`, `code_missing`, `code_unusable`.
    """
    pairs = list(params)
    if len(pairs) > MAX_PARAMETERS:
        raise GrantRefusedError(reason="too_many_parameters")
    given = dict(pairs)
    names = [name for name, _ in pairs]
    once = {"state", "iss", "error", "error_description", "error_uri", "code", facts.code, facts.site_from}
    once |= {facts.installation_from, *facts.requested}
    if any(names.count(name) > 1 for name in once if name is not None):
        raise GrantRefusedError(reason="repeated_parameter")
    # No token is expected here: the implicit and hybrid flows are not supported (RFC 9700 §2.1.2).
    if not given.keys().isdisjoint({"access_token", "id_token", "response"} - {*facts.ignore}):
        raise GrantRefusedError(reason="unexpected_token")
    state = find_state(pairs)
    if state is None:
        raise GrantRefusedError(reason="state_missing")
    # RFC 9207 §2.4: simple string comparison.  If no issuer was known at the start, there is nothing to compare with; then the
    # distinct redirect URI of each server is the defence (RFC 9700 §4.4.2.2).
    named, required = given.get("iss"), facts.issuer == "required"
    if named is not None and named != issuer and (required or issuer is not None):
        raise GrantRefusedError(reason="issuer_mismatch")
    checked = None if named is None else issuer
    if "error" in given:
        return CallbackAnswer(state=state, error=given["error"] if given["error"] in KNOWN_ERRORS else "other", issuer=checked)
    if named is None and required:
        raise GrantRefusedError(reason="issuer_missing")
    if any(given.get(name) == value for name, value in facts.requested.items()):
        # A code that came with it is not sent, so nothing is granted.
        return CallbackAnswer(state=state, error=REQUESTED, issuer=checked)
    claimed = None if facts.installation_from is None else given.get(facts.installation_from)
    site = None if facts.site_from is None else given.get(facts.site_from)
    return CallbackAnswer(state=state, code=read_code(given.get(facts.code, "")), issuer=checked, site=site, installation=claimed)


def _nonce(state: Secret) -> str:
    # The nonce can be computed again from the state of the callback, so it need not be stored.
    return base64.urlsafe_b64encode(hashlib.sha256(b"nonce " + state.reveal().encode()).digest()).rstrip(b"=").decode()


def read_code(text: str, /) -> Secret:
    """Return the code of a callback.  Raises `GrantRefusedError` with the reason `code_missing` or `code_unusable`."""
    if not text:
        raise GrantRefusedError(reason="code_missing")
    if len(text) > MAX_CODE or not _VISIBLE.match(text):
        raise GrantRefusedError(reason="code_unusable")
    return Secret(text)


def _with_extras(client: Client, url: str) -> str:
    # RFC 6749 §3.1: the endpoint's own query is kept, and no parameter is sent twice.
    parts = urlsplit(url)
    extras = dict(parse_qsl(parts.query, keep_blank_values=True))
    extras.update({name: client.fill(value) for name, value in client.method.authorize_params.items()})
    extras.update(
        {name: client.method.scopes.separator.join(listed) for name, listed in client.method.scopes.extra_lists.items() if listed}
    )
    kept = {name: value for name, value in extras.items() if name not in RESERVED_PARAMETERS}
    return urlunsplit(parts._replace(query=urlencode(kept)))
