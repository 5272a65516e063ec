"""Unique secrets, and everything that is searched for them."""

from __future__ import annotations

import base64
import json
import logging
import re
import traceback
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote_plus, urlsplit

import sqlalchemy as sa

import cloud_integrations
from cloud_integrations import Actor, Provider, Secret
from cloud_integrations.backends.sqlalchemy import migrate, sqlite_engine
from cloud_integrations.testing import SimulatedProvider
from cloud_integrations_fastapi.host import new_token

GRACE = Actor(id="grace")
PRODUCT = (str(Path(cloud_integrations.__file__).parent), "cloud_integrations_fastapi", "cloud_integrations_cli", "site-packages")


@cache
def forms(secret: str | bytes) -> dict[bytes, str]:
    """Return everything that *secret* could look like, each with its name."""
    data = secret if isinstance(secret, bytes) else secret.encode()
    found = {"raw": data, "reversed": data[::-1], "hex": data.hex().encode(), "HEX": data.hex().upper().encode()}
    for offset in range(3):
        # Inside something longer, base64 begins at any of three places; the characters at its ends mix with the neighbours.
        whole = base64.b64encode(bytes(offset) + data)[(0, 2, 3)[offset] : (offset + len(data)) * 8 // 6]
        found[f"base64+{offset}"] = whole
        found[f"base64url+{offset}"] = whole.translate(bytes.maketrans(b"+/", b"-_"))
    found |= {"quoted": quote(data, safe="").encode(), "form": quote_plus(data).encode(), "python": repr(data)[2:-1].encode()}
    if isinstance(secret, str):
        escaped = "".join(f"\\u{ord(character):04x}" for character in secret)
        found |= {"json": json.dumps(secret)[1:-1].encode(), "\\u": escaped.encode(), "utf-16": secret.encode("utf-16-le")}
    return {form: name for name, form in reversed(found.items())}


class Canaries:
    """Every secret of a walk, by kind."""

    def __init__(self) -> None:
        self._by_kind: defaultdict[str, set[str | bytes]] = defaultdict(set)

    def add(self, kind: str, *secrets: str | bytes | Secret | None) -> None:
        texts = [secret.reveal() if isinstance(secret, Secret) else secret for secret in secrets]
        self._by_kind[kind] |= {text for text in texts if text}

    @property
    def counts(self) -> Counter[str]:
        return Counter({kind: len(secrets) for kind, secrets in self._by_kind.items()})

    def in_(self, data: bytes, *, without: AbstractSet[str] = frozenset()) -> list[tuple[str, str]]:
        """Return the kind and the form of every canary that *data* holds."""
        return sorted({
            (kind, name)
            for kind, secrets in self._by_kind.items()
            if kind not in without
            for secret in secrets
            for form, name in forms(secret).items()
            if form in data
        })  # fmt: skip


@dataclass
class Found:
    """What a walk left behind, by place."""

    places: defaultdict[str, bytearray] = field(default_factory=lambda: defaultdict(bytearray))
    given: list[tuple[str, bytes, set[str]]] = field(default_factory=list)
    """Answers that must hold a secret, and of which kinds."""

    _lines: set[tuple[str, str]] = field(default_factory=set)

    def put(self, place: str, data: bytes | str) -> None:
        if isinstance(data, bytes):
            self.places[place] += data + b"\n"
            return
        # No canary goes over a line's end, and most lines come again and again.
        for line in data.splitlines():
            if (place, line) not in self._lines:
                self._lines.add((place, line))
                self.places[place] += line.encode("utf-8", "replace") + b"\n"

    def put_files(self, place: str, folder: Path, *, without: AbstractSet[Path] = frozenset()) -> None:
        for path in folder.rglob("*"):
            if path.is_file() and path not in without:
                self.put(f"{place}: {path.suffix or path.name}", path.read_bytes())

    def check(self, canaries: Canaries, **open_: set[str]) -> None:
        """Fail unless every place is clean; *open_* names the kinds that a place may show, and the test why."""
        held = {place: canaries.in_(bytes(data), without=open_.get(place, set())) for place, data in self.places.items()}
        leaking = {place: leaks for place, leaks in held.items() if leaks}
        assert leaking == {}, leaking
        assert [(name, leaks) for name, data, kinds in self.given if (leaks := canaries.in_(data, without=kinds))] == []


class Watched(SimulatedProvider):
    """A provider that notes every secret that comes to it or leaves it."""

    def __init__(self, canaries: Canaries, **how: Any) -> None:
        super().__init__(**how)
        self._canaries = canaries
        self._client_secret = Secret(f'fake "client" secret/+%&=\\{self._client_secret.reveal()}'.replace(" ", "~"))
        self._client_secrets = [self._client_secret]
        self.refused_secret = Secret(f"fake-refused-client-secret-{new_token()}")
        self.second_half = Secret(f"fake-second-half-{new_token()}")
        self.password = Secret(f"fake-password-{new_token()}")
        inner, line = f"fake-document-{new_token()}", base64.b64encode(f"fake-pem-{new_token()}".encode()).decode()
        self.certificate = Secret(f"-----BEGIN CERTIFICATE-----\n{line}\n-----END CERTIFICATE-----\n")
        document = {"type": "robot", "signer": inner, "key": {"token": self.valid_api_key.reveal()}}
        self.document = Secret(json.dumps(document, indent=2))
        canaries.add("password", self.password)
        canaries.add("document", inner)
        canaries.add("PEM", line)
        canaries.add("client secret", self._client_secret, self.refused_secret)
        canaries.add("API key", self.valid_api_key, self.invalid_api_key)
        canaries.add("second half", self.second_half)

    def entries(self) -> tuple[Provider, Provider]:
        """The catalogue, where a key has two halves."""
        by_code, by_key = self.catalogue_entries()
        document = by_key.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        [method] = document["methods"]
        method["inputs"].append({"name": "half", "label": "Second half"})
        # Some providers want a secret in the URL.
        method["present"] = {"headers": {"Authorization": "Bearer {value}", "X-Half": "{half}"}, "query": {"half": "{half}"}}
        return by_code, Provider.model_validate(document)

    def by_inputs(self) -> Provider:
        """A provider that asks for a value of every form; of two forms only one may be given."""
        file = {"name": "file", "form": "json", "must": {"type": "robot"}, "parts": {"token": "key.token", "signer": "signer"}}
        proofs = [{"name": "password", "one_of": "proof"}, {"name": "cert", "form": "pem", "one_of": "proof"}]
        shown = {"headers": {"Authorization": "Bearer {token}", "X-Team": "{team}"}, "query": {"signer": "{signer}"}}
        method = {"id": "file", "kind": "key", "inputs": [file, *proofs, {"name": "team", "secret": False}], "present": shown}
        check = {"url": f"{self.base_url}/me?zone={{zone}}", "identity": ["json:id"], "status_rules": {"401": "dead"}}
        variable = {"name": "zone", "choices": ["eu", "us"]}
        whole = {"id": "robots", "name": "Robots", "loopback": True, "methods": [method], "verifications": [check], "variables": [variable]}
        return Provider.model_validate(whole)

    def inputs(self, **changes: Secret | str) -> dict[str, Secret | str]:
        """Values for `by_inputs`."""
        return {"file": self.document, "password": self.password, "team": "blue", **changes}

    @contextmanager
    def receive(self, method: str, url_path: str, /, *, query: str = "", headers: Any = None, body: bytes = b"") -> Iterator[Any]:
        asked = dict(parse_qsl(query)) | dict(parse_qsl(body.decode("latin-1")))
        self._note(asked)
        scheme, _, value = {name.lower(): value for name, value in (headers or {}).items()}.get("authorization", "").partition(" ")
        if scheme == "Basic":
            self._canaries.add("client secret", unquote_plus(base64.b64decode(value).decode().partition(":")[2]), value)
        with super().receive(method, url_path, query=query, headers=headers, body=body) as answer:
            self._note(dict(parse_qsl(urlsplit(answer.response.headers.get("location", "")).query)))
            for name, token in re.findall(rb'"(access_token|refresh_token)": ?"([^"]+)"', answer.response.body):
                self._canaries.add(name.decode().replace("_", " "), token.decode())
            yield answer

    def _note(self, fields: dict[str, str]) -> None:
        names = {"code": "code", "state": "state", "code_verifier": "verifier", "refresh_token": "refresh token"}
        for name, kind in names.items():
            self._canaries.add(kind, fields.get(name))


class Everything(logging.Handler):
    """Keeps every log record as text, with the variables of its traceback."""

    def __init__(self, found: Found) -> None:
        super().__init__(logging.DEBUG)
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        self._found.put("log", f"{record.name} {record.getMessage()} {record.args!r}")
        if record.exc_info and record.exc_info[1]:
            note_error(self._found, record.exc_info[1])


@contextmanager
def listening_to_everything(found: Found) -> Iterator[None]:
    """Turn every log on, as somebody does who looks for a mistake, and keep every warning."""
    root, handler = logging.getLogger(), Everything(found)
    names = ("httpx", "httpcore", "asyncio", "sqlalchemy.engine", "sqlalchemy.pool", "uvicorn", "cloud_integrations")
    levels = {logger: logger.level for logger in (root, *map(logging.getLogger, names))}
    for logger in levels:
        logger.setLevel(logging.DEBUG)
    root.addHandler(handler)
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            yield
    finally:
        root.removeHandler(handler)
        for logger, level in levels.items():
            logger.setLevel(level)
    for warning in warned:
        found.put("warnings", str(warning))


_HOSTS_OWN = ("params", "pairs", "given")
"""The parameters of a callback, as the host hands them to `complete_oauth`: its own text, used up by the call."""


def note_error(found: Found, error: BaseException) -> None:
    """Keep what is told of an error, with the variables of all frames that are not this test's."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    seen: list[traceback.TracebackException | None] = [told]
    while seen:
        one = seen.pop()
        if one is not None:
            kept = [
                frame for frame in one.stack if any(part in frame.filename for part in PRODUCT) and "/concurrent/" not in frame.filename
            ]
            for frame in kept:
                for name in _HOSTS_OWN:
                    (frame.locals or {}).pop(name, None)
            one.stack = traceback.StackSummary.from_list(kept)
            seen += [one.__cause__, one.__context__, *(one.exceptions or ())]
    found.put("exceptions", "".join(told.format()))
    found.put("errors", f"{error!r} {error} {vars(error)}")


def an_engine(path: Path, *, journal: bool) -> sa.Engine:
    """A database with a write-ahead log; or with a journal that stays where it is."""
    engine = sqlite_engine(path)
    if journal:
        sa.event.listen(engine, "connect", lambda connection, _record: connection.execute("PRAGMA journal_mode = PERSIST"))
    migrate.upgrade(engine)
    return engine
