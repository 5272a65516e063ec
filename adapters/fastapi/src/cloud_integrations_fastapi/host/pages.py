"""The pages of the host: who is signed in, what a tenant has, and a way to connect more.  Nothing is loaded from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cloud_integrations import AuthType, InputSummary, Integration, ProviderSummary

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


def tenants_page(session: Session, /) -> str:
    """Return the page where a tenant is chosen."""
    return _render("tenants.html", session=session, quoted=partial(quote, safe=""))


def tenant_page(
    session: Session,
    /,
    *,
    tenant: str,
    api: str,
    integrations: Sequence[Integration],
    providers: Sequence[ProviderSummary],
    back: str,
    problem: str = "",
) -> str:
    """Return the page of one tenant; *problem* is why a connection was not made."""
    connected = {integration.provider_id for integration in integrations}
    return _render(
        "tenant.html",
        session=session,
        tenant=tenant,
        api=api,
        integrations=integrations,
        names={provider.id: provider.name for provider in providers},
        free=[provider for provider in providers if provider.active and provider.auth_types and provider.id not in connected],
        key_inputs=_key_inputs,
        back=back,
        problem=problem,
    )


def problem_page(session: Session | None, /, *, title: str, text: str) -> str:
    """Return a page that says why there is nothing to see."""
    return _render("problem.html", session=session, title=title, text=text)


def _key_inputs(provider: ProviderSummary) -> list[InputSummary]:
    """Return what the provider's first way by key asks for: the key, and a second half where it takes one."""
    method = next(method for method in provider.methods if method.auth_type is AuthType.API_KEY)
    return [expected for expected in method.inputs if expected.argument is not None]


def _render(name: str, /, **values: Any) -> str:
    return _TEMPLATES.get_template(name).render(values, style=_STYLE, script=_SCRIPT)


_TEMPLATES = Environment(
    loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, auto_reload=False
)
