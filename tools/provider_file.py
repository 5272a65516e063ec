"""Write docs/reference/provider-file.md: every field of a provider file, from the schema itself."""

from __future__ import annotations

import ast
import inspect
import json
import re
import tomllib
from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cloud_integrations.domain.provider import JsonScalar, Provider

TARGET = Path(__file__).parents[1] / "docs/reference/provider-file.md"
_HEAD = """# The provider file

Every field of a provider file, printed from the schema by `python tools/provider_file.py`. A file is TOML; a field that is
not listed here is refused. Lengths of time are seconds.
A *path* is dotted: names step into objects, numbers into lists, `*` into every member of a list.
A *template* is text that may hold `{variables}`. Examples come from the built-in files where one of them has the field.

[Add a provider](../how-to/add-a-provider.md) goes through the steps.
"""
_EXAMPLES: dict[str, Any] = {
    "AfterConnecting.at": "data",
    "AfterConnecting.headers": {"Accept": "application/vnd.acme+json"},
    "Proof.longest_sub": 127,
    "Callback.code": "authorization_code",
    "Callback.ignore": ["id_token"],
    "Callback.site_from": "location",
    "Listing.id": "installation_id",
    "Deprecation.ends": date(2027, 6, 30),
    "Deprecation.instead": "Make a service account, and enter its key",
    "Deprecation.methods": ["user_key"],
    "Deprecation.source": "https://docs.acme.example/deprecations",
    "Provider.aliases": ["Acme Web Services", "AWS"],
    "Provider.description": "Servers and storage by the hour",
    "NewKey.headers": {"X-Api-Version": "2026-01-01"},
    "NewKey.identity": "id",
    "Method.metadata": "oidc",
    "Method.par_url": "https://login.acme.example/par",
    "Method.refresh_url": "https://login.acme.example/refresh",
    "Method.token_params": {"audience": "https://api.acme.example"},
    "Basic.password": "{secret}",
    "Basic.user": "{key}",
    "Digest.password": "{private_key}",
    "Digest.user": "{public_key}",
    "Expires.path": "expiration",
    "Proof.claims": {"scope": "https://www.googleapis.com/auth/cloud-platform"},
    "Proof.headers": {"x5t#S256": "{certificate.sha256}"},
    "Proof.jwt": "{private_key}",
    "Proof.kid": "{private_key_id}",
    "Proof.passphrase": "{passphrase}",
    "Proof.iss": "{client_email}",
    "Proof.sub": "{account}.{user}",
    "Proof.aud": "https://oauth2.acme.example/token",
    "Predicate.absent": True,
    "Predicate.not_null": True,
    "Present.basic": {"user": "{key}", "password": "{secret}"},
    "Present.query": {"api_key": "{key}"},
    "Present.certificate": "{certificate}{private_key}",
    "Present.trust": "{ca}",
    "Device.url": "https://login.acme.example/device",
    "Method.device": {"url": "https://login.acme.example/device"},
    "Provider.backend": "acme",
    "Provider.sites": {"eu": {"region": "eu"}},
    "Reply.encodings": {"expires_in": "epoch_s"},
    "Reply.map": {"access_token": "data.token"},
    "Revoke.gone_statuses": [404],
    "Revoke.headers": {"Accept": "application/json"},
    "Scopes.reply_field": "data.scope",
    "Method.application": "owner",
    "Method.mint": [{"url": "https://iam.acme.example/token", "fields": {"key": "{api_key}"}}],
    "Method.narrow": {"policy": {"form": "object", "field": "Policy"}},
    "Narrowing.answer": "repositories.*.name",
    "Narrowing.escaped": True,
    "Narrowing.field": "Tags.member.{n}.Key",
    "Narrowing.first": 3,
    "Narrowing.form": "map",
    "Narrowing.ignore_case": True,
    "Narrowing.implied": {"metadata": "read"},
    "Narrowing.levels": ["read", "write", "admin"],
    "Narrowing.longest": 2048,
    "Narrowing.most": 10,
    "Narrowing.reserved": ["product", "tenant"],
    "Narrowing.to": "exchange",
    "Narrowing.value_field": "Tags.member.{n}.Value",
    "Narrowing.within": "accessBoundary",
    "Method.proofs": {"key": {"jwt": "{private_key}", "iss": "{client_email}"}},
    "Step.client_auth": ["proof:key", "post"],
    "Step.fields": {"grant_type": "client_credentials"},
    "Step.headers": {"Accept": "application/json"},
    "Step.proof": "key",
    "Step.statuses": [200, 201],
    "Step.success": [{"path": "error", "absent": True}],
    "Step.url": "https://iam.acme.example/token",
    "Step.when": "service_account",
    "StepReply.at": "AssumeRoleResponse.AssumeRoleResult.Credentials",
    "StepReply.gives": {"access_token": "token"},
    "StepReply.token_types": ["bearer", "n_a"],
    "Verification.statuses": [200, 204],
    "ErrorRule.for_methods": ["oauth2"],
    "Verification.body": "{}",
    "AccessTokenFacts.expiry_field": "data.expires_at",
    "Input.form": "pem",
    "Input.must": {"type": "service_account"},
    "Input.one_of": "proof",
    "Input.parts": {"private_key": "private_key"},
    "Input.normalise": [],
    "LimitHeaders.retry_after": "X-Retry-In",
    "RateLimit.wait_path": "error.retry_after",
}
"""Values for fields that no built-in file sets and whose type says too little."""


_PLAIN = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`", timedelta: "seconds"}


def main() -> None:
    """Write the file."""
    TARGET.write_text(build_page(), encoding="utf-8")
    print(TARGET)


def build_page() -> str:
    """Return the page as Markdown: a section for each table of the file."""
    headers: dict[type[BaseModel], list[str]] = {}
    for table, header in _tables(Provider, ""):
        headers.setdefault(table, []).append(header)
    found = _builtin_values()
    return _HEAD + "".join(_section(table, written, found) for table, written in headers.items())


def _tables(table: type[BaseModel], header: str) -> Iterator[tuple[type[BaseModel], str]]:
    yield table, header
    for name, field in table.model_fields.items():
        for inner in _models(field.annotation):
            yield from _tables(inner, _header(header, name, field))


def _header(above: str, name: str, field: FieldInfo) -> str:
    path = f"{above.strip('[]')}.{name}".lstrip(".")
    return f"[[{path}]]" if _is_list(field.annotation) else f"[{path}]"


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models(argument)]


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is tuple or any(_is_list(argument) for argument in get_args(annotation))


def _section(table: type[BaseModel], headers: list[str], found: dict[str, Any]) -> str:
    title = ", ".join(f"`{header}`" for header in headers if header) or "The file itself"
    lines = [
        f"\n## {title}\n",
        " ".join((table.__doc__ or "").split()),
        "",
        "| Field | Type | Default | Meaning | Example |",
        "|---|---|---|---|---|",
    ]
    for name, field in table.model_fields.items():
        key = field.alias or name
        meaning = " ".join(find_docstring(table, name).split())
        inner = _models(field.annotation)
        example = f"see `{_header(headers[0], name, field)}`" if inner else f"`{key} = {_toml(_example(table, name, field, found))}`"
        cells = [f"`{key}`", _words(field.annotation), _default(field), meaning, example]
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


@cache
def _docstrings(table: type[BaseModel]) -> dict[str, str]:
    """Return the text under each field, by name.  Pydantic could read them too, each time that the library is imported."""
    [body] = [statement.body for statement in ast.parse(inspect.getsource(table)).body if isinstance(statement, ast.ClassDef)]
    found: dict[str, str] = {}
    for field, below in pairwise(body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = text
    return found


def find_docstring(table: type[BaseModel], name: str) -> str:
    """Return the text under a field, or end: the reference needs one."""
    for owner in table.__mro__:
        if owner.__module__ == table.__module__ and name in _docstrings(owner):
            return _docstrings(owner)[name]
    raise SystemExit(f"{table.__name__}.{name} has no docstring: the reference needs one")


def _words(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is None:
        return _PLAIN.get(annotation, "table")
    if origin is Literal:
        return " · ".join(f"`{word}`" for word in arguments)
    if origin is tuple:
        return f"list of {_words(arguments[0])}"
    if origin is dict:
        return f"table: {_words(arguments[0])} → {_words(arguments[1])}"
    # Annotated, or a union: with None it is the other one, and the only true union is a JSON value.
    given = [argument for argument in arguments if argument is not type(None)]
    return "text, number or truth value" if set(given) == set(get_args(JsonScalar)) else _words(given[0])


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if field.is_required():
        return "required"
    if value is None:
        return "–"
    if isinstance(value, BaseModel) or value in ((), {}):
        return "empty"
    if isinstance(value, tuple) and isinstance(value[0], BaseModel):
        return "one with its defaults"
    return f"`{_toml(value)}`"


def _example(table: type[BaseModel], name: str, field: FieldInfo, found: dict[str, Any]) -> Any:
    key = _owner(table, name)
    for value in (found.get(key), _EXAMPLES.get(key), _made_up(field)):
        if value is not None:
            return value
    raise SystemExit(f"{key} is in no built-in file: put an example into _EXAMPLES of tools/provider_file.py")


def _made_up(field: FieldInfo) -> Any:
    for candidate in _parts(field.annotation):
        if candidate is bool:
            return not field.get_default(call_default_factory=True)
        if candidate is timedelta:
            return 3600
        if get_origin(candidate) is Literal:
            return next(word for word in get_args(candidate) if word != field.get_default(call_default_factory=True))
    return None


def _parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for argument in get_args(annotation):
        yield from _parts(argument)


def _builtin_values() -> dict[str, Any]:
    """Return `Table.field` → its shortest value in the built-in files that is not the default."""
    found: dict[str, list[Any]] = {}
    for file in sorted(files("cloud_integrations.providers").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".toml"):
            _collect(Provider, tomllib.loads(file.read_text(encoding="utf-8")), found)
    return {key: min(values, key=lambda value: len(_toml(value))) for key, values in found.items() if values}


def _collect(table: type[BaseModel], data: dict[str, Any], found: dict[str, list[Any]]) -> None:
    for name, field in table.model_fields.items():
        value = data.get(field.alias or name)
        if value is None or value == field.get_default(call_default_factory=True):
            continue
        models = _models(field.annotation)
        found.setdefault(_owner(table, name), []).append(value)
        for inner in models:
            for entry in value if isinstance(value, list) else [value]:
                _collect(inner, entry, found)


def _owner(table: type[BaseModel], name: str) -> str:
    """Return `Table.field` with the table that declares the field."""
    return next(f"{parent.__name__}.{name}" for parent in reversed(table.__mro__) if name in getattr(parent, "model_fields", {}))


def _toml(value: Any) -> str:
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g}"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(entry) for entry in value)}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_key(key)} = {_toml(entry)}' for key, entry in value.items())} }}" if value else "{}"
    if isinstance(value, str) and "\\" in value and "'" not in value:
        return f"'{value}'"
    return json.dumps(value, ensure_ascii=False)


def _key(key: Any) -> str:
    return str(key) if re.fullmatch(r"[\w-]+", str(key)) else json.dumps(key)


if __name__ == "__main__":
    main()
