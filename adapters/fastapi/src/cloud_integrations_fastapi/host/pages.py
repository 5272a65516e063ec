"""The HTML pages of the reference server: sign-in, tenants, and the integrations of one.  They load nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from cloud_integrations import AuthType, InputSummary, Integration, MethodSummary, ProviderSummary, VariableSummary

from .sessions import Session

try:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
except ModuleNotFoundError:
    raise ImportError(
        "cloud_integrations_fastapi.host needs the extra host: pip install 'cloud-integrations-fastapi[host]'", name=__package__
    ) from None

_FOLDER = Path(__file__).parent / "templates"
_STYLE, _SCRIPT = ((_FOLDER / name).read_text(encoding="utf-8") for name in ("style.css", "script.js"))


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src {_hash(_STYLE)}; script-src {_hash(_SCRIPT)}; connect-src 'self'; form-action 'self';"
        " base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",  # with no-referrer a browser posts our own forms with `Origin: null`
    "X-Content-Type-Options": "nosniff",
}


def sign_in_page(*, form_token: str, refused: bool = False) -> str:
    """Return the page that asks for a bearer token."""
    return _render("sign_in.html", session=None, form_token=form_token, refused=refused)


def tenants_page(session: Session, /, *, console: str | None = None) -> str:
    """Return the page where a tenant is chosen; *console* is the path of the console, for those who may see it."""
    return _render("tenants.html", session=session, quoted=partial(quote, safe=""), console=console)


def tenant_page(
    session: Session,
    /,
    *,
    tenant: str,
    api: str,
    providers_api: str,
    integrations: Sequence[Integration],
    providers: Sequence[ProviderSummary],
    back: str,
    slots: bool,
    connect_page: str | None = None,
    problem: str = "",
) -> str:
    """Return the page of one tenant.

    *api* is the path of the tenant's routes, *providers_api* that of the providers, *back* the path that a connection returns to, *slots*
    whether the tenant may have several integrations with one provider, *connect_page* the path of the tenant's
    connect page, *problem* why a connection failed.
    """
    taken = {integration.provider_id for integration in integrations if not integration.slot}
    set_up = {(provider.id, method.id) for provider in providers for method in provider.methods if method.needs_setup}
    return _render(
        "tenant.html",
        session=session,
        tenant=tenant,
        api=api,
        providers_api=providers_api,
        set_up=set_up,
        slots=slots,
        integrations=integrations,
        names={provider.id: provider.name for provider in providers},
        offers=[
            _Offer.of(provider, needs_slot=provider.id in taken)
            for provider in providers
            if provider.active and (slots or provider.id not in taken) and any(map(_is_offered, provider.methods))
        ],
        back=back,
        connect_page=connect_page,
        problem=problem,
    )


def problem_page(session: Session | None, /, *, title: str, text: str) -> str:
    """Return a page that says why a request failed."""
    return _render("problem.html", session=session, title=title, text=text)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    """One input, or a group of which one is chosen."""

    name: str
    needed: bool
    input: InputSummary | None = None
    inputs: tuple[InputSummary, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _OfferedMethod:
    id: str
    call: Literal["authorize", "connect", "setup"]
    label: str
    fields: tuple[_Field, ...]
    has_guide: bool = False
    """Whether the page shows what to do at the provider first: the tenant enters no secret, so there is something to set up."""

    @classmethod
    def of(cls, provider: ProviderSummary, method: MethodSummary, /) -> _OfferedMethod:
        """Return what the page shows of a method."""
        if method.auth_type is AuthType.OAUTH2:
            return cls(id=method.id, call="authorize", label=f"Sign in at {provider.name}", fields=())
        fields = tuple(_fields(method))
        needed = [" or ".join(each.label for each in field.inputs) or field.name for field in fields if field.needed]
        if method.needs_setup:
            return cls(id=method.id, call="setup", label=_words(method.id), fields=fields)
        label = ", ".join(needed) or _words(method.id)
        return cls(id=method.id, call="connect", label=label, fields=fields, has_guide=not any(each.secret for each in method.inputs))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offer:
    """A provider that can be connected; `needs_slot`: its default slot is taken."""

    id: str
    name: str
    documentation: str
    methods: tuple[_OfferedMethod, ...]
    variables: tuple[VariableSummary, ...]
    needs_slot: bool

    @classmethod
    def of(cls, provider: ProviderSummary, /, *, needs_slot: bool) -> _Offer:
        """Return what the page shows of a provider."""
        methods = [_OfferedMethod.of(provider, method) for method in provider.methods if _is_offered(method)]
        labels = Counter(method.label for method in methods)
        told = [replace(each, label=f"{each.label} ({_words(each.id)})") if labels[each.label] > 1 else each for each in methods]
        return cls(
            id=str(provider.id),
            name=provider.name,
            documentation=provider.documentation,
            methods=tuple(told),
            variables=provider.variables,
            needs_slot=needs_slot,
        )


def _is_offered(method: MethodSummary) -> bool:
    return method.auth_type is AuthType.OAUTH2 or bool(method.inputs)


def _fields(method: MethodSummary) -> list[_Field]:
    """Return the inputs in their order; those of a group as one field, in the place of its first."""
    fields: dict[str, _Field] = {}
    for each in method.inputs:
        if each.one_of is None:
            fields[each.name] = _Field(name=each.label, needed=each.required, input=each)
        elif (key := f"one of {each.one_of}") not in fields:
            group = tuple(other for other in method.inputs if other.one_of == each.one_of)
            fields[key] = _Field(name=each.one_of, needed=any(other.required for other in group), inputs=group)
    return list(fields.values())


def _words(identifier: str) -> str:
    return identifier.replace("_", " ").capitalize()


def _render(name: str, /, **values: Any) -> str:
    return _TEMPLATES.get_template(name).render(values, style=_STYLE, script=_SCRIPT)


_TEMPLATES = Environment(
    loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, auto_reload=False
)
