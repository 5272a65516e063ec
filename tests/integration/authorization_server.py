"""Run a real OAuth 2.0 authorization server, which is not ours, and be the person who signs in at it.

The server is the npm package `oidc-provider`, pinned in `oidc_provider/package-lock.json` and set up in `oidc_provider/server.mjs`.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import secrets
import shutil
import subprocess
import tempfile
import threading
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from html.parser import HTMLParser
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any, Self
from urllib.parse import urljoin, urlsplit

import httpx

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

HOME = Path(__file__).parent / "oidc_provider"
NODE_AT_LEAST = (20, 20)
HOW_TO_INSTALL = "install Node.js 22 or newer, npm included (https://nodejs.org/en/download), and run the tests again"
DEFAULT_CALLBACK = "http://127.0.0.1/callback"
START_WITHIN = timedelta(seconds=30)
INSTALL_WITHIN = timedelta(minutes=8)
MOST_PAGES = 20
KEY_CLIENT = "test-key"


class NodeMissingError(Exception):
    """This machine cannot run the server: Node.js or npm is missing or too old."""

    def __init__(self, *, reason: str) -> None:
        super().__init__(f"{reason}; {HOW_TO_INSTALL}")


class ServerNotStartedError(Exception):
    """The server could not be installed or did not say that it is ready."""

    def __init__(self, *, step: str, output: str) -> None:
        super().__init__(f"{step} failed:\n{output}")


class SignInStoppedError(Exception):
    """The server showed a page that leads nowhere, such as an error page, instead of a form or a redirect."""

    def __init__(self, *, path: str, status: int, complaints: Sequence[str] = ()) -> None:
        super().__init__(f"the sign-in stopped at {path} with status {status}: {', '.join(complaints) or 'no form on the page'}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A confidential client that the server knows; its secret needs the form encoding of RFC 6749 §2.3.1 in an Authorization header."""

    id: str
    secret: str = field(repr=False)
    authentication: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where the server listens, as its own metadata says (RFC 8414)."""

    authorization: str
    token: str
    revocation: str
    introspection: str
    userinfo: str
    pushed_authorization_request: str
    device_authorization: str
    resource: str
    """Takes a bearer token of the grant client_credentials, and says whose it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRequest:
    """A request that the token, revocation or introspection endpoint answered.

    `error` is the OAuth error code of the answer.  `client_id` is None when the client did not prove itself.
    """

    endpoint: str
    method: str
    client_id: str | None
    grant_type: str | None
    has_code_verifier: bool
    status: int
    error: str | None


class AuthorizationServer:
    """A real authorization server on loopback, alive inside a `with` block.

    PKCE with S256 is required.  Every code brings a refresh token, every refresh consumes the one it used, and a consumed one
    that returns ends its grant.  Scopes: openid, profile, email, offline_access, read, write.

    *client_metadata* is further metadata of all clients (RFC 7591).  With *client_keys*, public keys as JWKs, there is a third client,
    `test-key`, which proves itself with `private_key_jwt`.  With *dpop_nonces*, a proof of DPoP needs a nonce of the server.

    Raises `NodeMissingError` when this machine cannot run it and `ServerNotStartedError` when it does not start.
    """

    issuer: str
    endpoints: Endpoints

    def __init__(
        self,
        *,
        redirect_uris: Sequence[str] = (DEFAULT_CALLBACK,),
        access_token_lifetime: timedelta = timedelta(minutes=1),
        client_metadata: Mapping[str, Any] = MappingProxyType({}),
        dpop_nonces: bool = False,
        client_keys: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        # The signs at the front are where a client that forgets the form encoding fails.
        self.client = Client(id="test-basic", secret=f"fake:%+/{secrets.token_urlsafe(24)}", authentication="client_secret_basic")
        self.post_client = Client(id="test-post", secret=f"fake&=+/{secrets.token_urlsafe(24)}", authentication="client_secret_post")
        self._redirect_uris = tuple(redirect_uris)
        self._access_token_lifetime = access_token_lifetime
        self._client_metadata = client_metadata
        self._dpop_nonces = dpop_nonces
        self._client_keys = tuple(client_keys)
        self._at_exit = ExitStack()

    @property
    def client_id(self) -> str:
        """The id of the client that authenticates with `client_secret_basic`."""
        return self.client.id

    @property
    def client_secret(self) -> str:
        """The secret of the client that authenticates with `client_secret_basic`."""
        return self.client.secret

    @property
    def metadata_url(self) -> str:
        """Where the server describes itself."""
        return f"{self.issuer}/.well-known/openid-configuration"

    def __enter__(self) -> Self:
        tools = find_node()
        install(tools)
        with ExitStack() as undo:
            complaints = undo.enter_context(tempfile.TemporaryFile(mode="w+", encoding="utf-8"))
            process = undo.enter_context(_node_process([tools.node, "server.mjs", "0"], stderr=complaints))
            undo.callback(process.terminate)
            self.issuer = self._wait_until_ready(process, complaints)
            self._http = undo.enter_context(httpx.Client(trust_env=False))
            self.endpoints = self._discover()
            self._at_exit = undo.pop_all()
        return self

    def __exit__(self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None) -> None:
        self._at_exit.close()

    def sign_in(self, authorization_url: str, /, *, account: str = "alice") -> str:
        """Sign *account* in, consent, and return the callback URL with its code, state and iss, without opening it.

        Every call is a new browser: nobody is signed in before it.  Raises `SignInStoppedError` at an error page.
        """
        return self._browse(authorization_url, account=account, consents=True)

    def deny(self, authorization_url: str, /, *, account: str = "alice") -> str:
        """Sign *account* in, refuse the consent, and return the callback URL with its error, state and iss, without opening it."""
        return self._browse(authorization_url, account=account, consents=False)

    def enter_code(self, verification_uri: str, user_code: str, /, *, account: str = "alice", consents: bool = True) -> None:
        """Enter *user_code* at the page for devices (RFC 8628 §3.3), then sign *account* in and consent, or abort.

        Raises `SignInStoppedError` at an error page.
        """
        with httpx.Client(trust_env=False, follow_redirects=True) as browser:
            page = _Page.read(browser.get(verification_uri))
            page = _Page.read(browser.post(page.action, data=page.fields | {"user_code": user_code}))
            if not consents:
                browser.post(page.action, data={"xsrf": page.fields["xsrf"], "user_code": user_code, "abort": "yes"})
                return
            for _ in range(MOST_PAGES):
                answer = browser.post(page.action, data=page.filled(login=account, password="fake-password"))
                if "<form" not in answer.text and answer.status_code == HTTPStatus.OK:
                    return
                page = _Page.read(answer)
        raise SignInStoppedError(path=urlsplit(str(answer.url)).path, status=answer.status_code)

    def allow_redirect_uri(self, uri: str, /) -> None:
        """Let every client use *uri* from now on; it is compared exactly."""
        self._http.post(f"{self.issuer}/test/redirect-uris", content=uri).raise_for_status()

    def requests(self) -> list[SeenRequest]:
        """Return what the token, revocation and introspection endpoints saw since the start, oldest first."""
        return [SeenRequest(**seen) for seen in self._http.get(f"{self.issuer}/test/requests").raise_for_status().json()]

    def _wait_until_ready(self, process: subprocess.Popen[str], complaints: IO[str], /) -> str:
        # The configuration holds client secrets, so it goes through stdin, which stays open: the server ends when it closes.
        clients: list[dict[str, Any]] = [
            {"client_id": client.id, "client_secret": client.secret, "token_endpoint_auth_method": client.authentication}
            for client in (self.client, self.post_client)
        ]
        if self._client_keys:
            keys = {"keys": self._client_keys}
            clients.append({"client_id": KEY_CLIENT, "jwks": keys, "token_endpoint_auth_method": "private_key_jwt"})
        configuration = {
            "clients": [{**client, **self._client_metadata} for client in clients],
            "redirect_uris": self._redirect_uris,
            "access_token_seconds": int(self._access_token_lifetime.total_seconds()),
            "dpop_nonces": self._dpop_nonces,
        }
        patience = threading.Timer(START_WITHIN.total_seconds(), process.kill)
        patience.start()
        try:
            print(json.dumps(configuration), file=process.stdin, flush=True)
            ready = process.stdout.readline() if process.stdout else ""
        except BrokenPipeError:
            ready = ""
        finally:
            patience.cancel()
        if not ready:
            complaints.seek(0)
            raise ServerNotStartedError(step="starting the authorization server", output=complaints.read())
        issuer: str = json.loads(ready)["issuer"]
        return issuer

    def _discover(self) -> Endpoints:
        metadata = self._http.get(self.metadata_url).raise_for_status().json()
        return Endpoints(
            authorization=metadata["authorization_endpoint"],
            token=metadata["token_endpoint"],
            revocation=metadata["revocation_endpoint"],
            introspection=metadata["introspection_endpoint"],
            userinfo=metadata["userinfo_endpoint"],
            pushed_authorization_request=metadata["pushed_authorization_request_endpoint"],
            device_authorization=metadata["device_authorization_endpoint"],
            resource=f"{self.issuer}/test/resource",
        )

    def _browse(self, url: str, /, *, account: str, consents: bool) -> str:
        with httpx.Client(trust_env=False) as browser:
            answer = browser.get(url)
            for _ in range(MOST_PAGES):
                if answer.has_redirect_location:
                    target = urljoin(str(answer.url), answer.headers["location"])
                    if not target.startswith(f"{self.issuer}/"):
                        return target
                    answer = browser.get(target)
                    continue
                page = _Page.read(answer)
                if page.fields.get("prompt") == "consent" and not consents:
                    answer = browser.get(page.cancel)
                    continue
                answer = browser.post(page.action, data=page.filled(login=account, password="fake-password"))
        raise SignInStoppedError(path=urlsplit(str(answer.url)).path, status=answer.status_code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """Where this machine has Node.js and npm."""

    node: str
    npm: str


def find_node() -> Tools:
    """Return where Node.js and npm are, or raise `NodeMissingError`."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise NodeMissingError(reason="Node.js or npm is not on the PATH")
    version = subprocess.run([node, "--version"], check=True, capture_output=True, text=True).stdout.strip()
    if tuple(int(part) for part in version.removeprefix("v").split(".")[:2]) < NODE_AT_LEAST:
        raise NodeMissingError(reason=f"Node.js {version} is too old")
    return Tools(node=node, npm=npm)


def install(tools: Tools, /) -> None:
    """Install what the lock file names into `oidc_provider/node_modules`, once, however many processes ask for it."""
    lock_file = HOME / "package-lock.json"
    with lock_file.open("rb") as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)
        wanted = hashlib.sha256(locked.read()).hexdigest()
        installed = HOME / "node_modules" / ".installed"
        if installed.exists() and installed.read_text(encoding="utf-8") == wanted:
            return
        done = subprocess.run(
            [tools.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=HOME,
            check=False,
            capture_output=True,
            text=True,
            timeout=INSTALL_WITHIN.total_seconds(),
        )
        if done.returncode != 0:
            raise ServerNotStartedError(step="npm ci", output=done.stderr)
        installed.write_text(wanted, encoding="utf-8")


def _node_process(command: list[str], /, *, stderr: IO[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, cwd=HOME, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, encoding="utf-8")


class _Page(HTMLParser):
    """What a person can do on a page of the server: one form, and a link to cancel."""

    def __init__(self, url: str, /) -> None:
        super().__init__()
        self._url = url
        # The label of the line of an error page that is being read: None outside of one, empty before its label.
        self._label: str | None = None
        self.action = ""
        self.cancel = ""
        self.fields: dict[str, str] = {}
        self.complaints: list[str] = []

    @classmethod
    def read(cls, answer: httpx.Response, /) -> Self:
        """Return the page of *answer*, or raise `SignInStoppedError` when there is no form on it."""
        page = cls(str(answer.url))
        page.feed(answer.text)
        page.close()
        if not page.action:
            raise SignInStoppedError(path=answer.url.path, status=answer.status_code, complaints=page.complaints)
        return page

    def filled(self, **typed: str) -> dict[str, str]:
        """Return the fields of the form, with what was *typed* into those that it has."""
        return self.fields | {name: text for name, text in typed.items() if name in self.fields}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the form, its fields and the link to cancel."""
        given = {name: text or "" for name, text in attrs}
        match tag:
            case "form":
                self.action = urljoin(self._url, given["action"])
            case "input":
                self.fields[given["name"]] = given.get("value", "")
            case "a" if given.get("href", "").endswith("/abort"):
                self.cancel = urljoin(self._url, given["href"])
            case "pre":
                self._label = ""
            case _:
                pass

    def handle_endtag(self, tag: str) -> None:
        """Leave a line of an error page."""
        if tag == "pre":
            self._label = None

    def handle_data(self, data: str) -> None:
        """Note why the server refused, and nothing else: its error page also repeats the state."""
        if self._label == "":
            self._label = data
        elif self._label in {"error", "error_description"}:
            self.complaints.append(data.removeprefix(": "))
