"""What all pages share: templates, languages, files, headers, and the token that keeps other sites from posting forms."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

from fastapi import Request, Response
from starlette.responses import HTMLResponse

from cloud_integrations import ConnectSession
from cloud_integrations.errors import ForbiddenError
from cloud_integrations_fastapi.browser import set_partitioned
from cloud_integrations_fastapi.errors import Problem

from .assets import Assets
from .branding import Branding

try:
    from babel import Locale
    from babel.dates import format_date, format_datetime, format_timedelta
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup
except ModuleNotFoundError:
    raise ImportError(
        "cloud_integrations_fastapi.pages needs the extra pages: pip install 'cloud-integrations-fastapi[pages]'", name=__package__
    ) from None

from .translation import choose, texts

FORM_TOKEN: Final = "form_token"  # noqa: S105  # the name of a field
"""The hidden field of every form; its value is in a cookie, too."""
VISIT: Final = "visit"
"""The first segment of the pages of a connect session."""
_FOLDER = Path(__file__).parent / "templates"
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_COOKIE_SECONDS = 8 * 3600


def session_of(request: Request, /) -> ConnectSession | None:
    """Return the connect session by which the page is shown; None: the host has admitted the person itself."""
    found: ConnectSession | None = getattr(request.state, "cloud_integrations_connect_session", None)
    return found


def joins(request: Request, /) -> bool:
    """Say whether the request is that of a window that joins a connect session: a token in its form has admitted it."""
    return getattr(request.state, "cloud_integrations_joined", None) is not None


def is_window(request: Request, /) -> bool:
    """Say whether the page is shown in a window that a page in a frame has opened."""
    return joins(request) or getattr(request.state, "cloud_integrations_window", False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """The sites that may show the pages in a frame: origins such as `https://app.example.com`; none: no site may."""

    origins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for origin in self.origins:
            parts = urlsplit(origin)
            if parts.scheme != "https" or not parts.hostname or f"https://{parts.netloc}" != origin or not origin.isascii():
                raise ValueError(f"{origin!r} must be an origin such as https://app.example.com")

    def policy_for(self, session: ConnectSession | None, /) -> str:
        """Return the value of `frame-ancestors`: the sites that are listed, or of them the one that the session is for."""
        shown = self.origins if session is None else tuple(each for each in self.origins if each == session.origin)
        return " ".join(shown) or "'none'"


class Shell:
    """Renders the pages of one router."""

    def __init__(
        self,
        *,
        prefix: str,
        branding: Branding,
        frames: Sequence[str] = (),
        loopback: bool = False,
        words: object = None,
        locale: Callable[[Request], str | None] | None = None,
    ) -> None:
        self.prefix = prefix
        self.branding = branding
        self.assets = Assets(branding)
        self._frames = Frames(origins=tuple(frames))
        self._loopback = loopback
        self._words = words
        self._host_locale = locale
        self._templates: dict[str, Environment] = {}

    def now(self) -> datetime:
        """Return the time to which pages refer: an aware UTC datetime."""
        return datetime.now(UTC)

    def url_in(self, request: Request, tenant: str, /, *segments: str, **query: str) -> str:
        """Return the path of a tenant's page, as the browser of *request* reaches it: by the host's sign-in, or by its connect session."""
        session = session_of(request)
        return self.url(*((tenant,) if session is None else (VISIT, str(session.id))), *segments, **query)

    def url(self, /, *segments: str, **query: str) -> str:
        """Return the path of a page: *segments* below the prefix, each quoted, with *query*."""
        path = "/".join((self.prefix, *(quote(segment, safe="") for segment in segments)))
        return path + ("?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items()) if query else "")

    def asset(self, name: str, /) -> str | None:
        """Return the path of a file that pages load; None if there is none of this name."""
        found = self.assets.path(name)
        return None if found is None else f"{self.prefix}/static/{found}"

    def render(
        self, request: Request, template: str, /, *, status: int = HTTPStatus.OK, leave_for: str | None = None, **values: Any
    ) -> HTMLResponse:
        """Return the page of *template* with *values*; *leave_for* is a URL that the browser goes on to by itself.

        The page gets `_`, `ngettext`, `url`, `asset`, `branding`, `form_token`, `language`, `when` and `day` beside its values.
        """
        locale, session = self.locale(request), session_of(request)
        nonce = secrets.token_urlsafe(16)
        token, is_new = self._form_token(request)
        html = (
            self._templates_in(str(locale).replace("_", "-"))
            .get_template(template)
            .render(
                values,
                url=partial(self.url_in, request),
                session=session,
                # Told what happens, by messages: whoever shows the pages, but not from the window that a frame has opened.
                host=session.origin if session is not None and not is_window(request) else None,
                window=is_window(request),
                root=self.url,
                asset=self.asset,
                branding=self.branding,
                form_token=token,
                language=str(locale).replace("_", "-"),
                direction=locale.text_direction,
                nonce=nonce,
                leave_for=leave_for,
                when=_When(locale, self.now()),
                words=self._words,
            )
        )
        response = HTMLResponse(html, status, self._headers(nonce, session))
        if is_new:
            self.set_cookie(request, response, self._token_name(request), token, seconds=_COOKIE_SECONDS)
        return response

    def _templates_in(self, language: str) -> Environment:
        """Return the templates with the texts of a language; compiled once, because their texts are bound to it."""
        if language not in self._templates:
            environment = Environment(
                loader=FileSystemLoader(_FOLDER),
                autoescape=True,
                undefined=StrictUndefined,
                extensions=["jinja2.ext.i18n"],
                trim_blocks=True,
                lstrip_blocks=True,
                auto_reload=False,
            )
            environment.install_gettext_translations(texts(language), newstyle=True)  # type: ignore[attr-defined]  # added by the extension
            self._templates[language] = environment
        return self._templates[language]

    def problem(self, request: Request, problem: Problem, /, *, request_id: str) -> HTMLResponse:
        """Return the page that says why a request failed."""
        return self.render(request, "problem.html", status=problem.status, problem=problem, request_id=request_id)

    def locale(self, request: Request, /) -> Locale:
        """Return the language of the answer: the one that the connect session or the host names, or the best that the browser accepts."""
        session = session_of(request)
        named = session.locale if session is not None else self._host_locale(request) if self._host_locale is not None else None
        return choose(named, request.headers.get("accept-language"))

    def admit_form(self, request: Request, fields: Mapping[str, str], /) -> None:
        """Refuse a form that does not come from a page of ours.  Raises `ForbiddenError`.

        Its token must be that of the browser's cookie (double submit), and the headers that browsers add must name this site.
        """
        self.check_origin(request)
        cookie, given = request.cookies.get(self._token_name(request), ""), fields.get(FORM_TOKEN, "")
        # A window that joins has none of the frame's cookies; its own token has admitted it.
        if not joins(request) and (not cookie or not hmac.compare_digest(cookie.encode(), given.encode())):
            raise ForbiddenError

    def check_origin(self, request: Request, /, *, named: bool = False) -> None:
        """Refuse a request that a page of another site made, and with *named* one that does not say where it is from.

        Raises `ForbiddenError`.
        """
        origin = request.headers.get("origin")
        try:
            is_ours = request.headers.get("sec-fetch-site", "same-origin") == "same-origin" and (
                not named
                if origin is None
                else urlsplit(origin).netloc in {request.headers.get("host"), request.headers.get("x-forwarded-host")}
            )
        except ValueError:
            is_ours = False  # no URL, such as http://[
        if not is_ours:
            raise ForbiddenError

    def set_cookie(self, request: Request, response: Response, name: str, value: str, /, *, seconds: int) -> None:
        """Set a cookie that no script can read; in a frame of another site it is kept apart for that site (CHIPS)."""
        plain = self._is_plain(request)
        framed = bool(self._frames.origins) and not plain
        response.set_cookie(name, value, max_age=seconds, path="/", secure=not plain, httponly=True, samesite="none" if framed else "lax")
        if framed:
            set_partitioned(response)

    def cookie_name(self, request: Request, name: str, /) -> str:
        """Return the full name of a cookie; with `__Host-` a browser takes it from this very host alone (RFC 6265bis §4.1.3.2)."""
        return f"ci_{name}" if self._is_plain(request) else f"__Host-ci_{name}"

    def _token_name(self, request: Request) -> str:
        return self.cookie_name(request, "page_form")

    def _form_token(self, request: Request) -> tuple[str, bool]:
        found = request.cookies.get(self._token_name(request))
        return (found, False) if found else (secrets.token_urlsafe(32), True)

    def _is_plain(self, request: Request) -> bool:
        return self._loopback and request.url.scheme == "http" and request.url.hostname in _LOOPBACK

    def _headers(self, nonce: str, session: ConnectSession | None) -> dict[str, str]:
        return {
            "Content-Security-Policy": (
                f"default-src 'none'; style-src 'self'; img-src 'self'; script-src 'nonce-{nonce}'; connect-src 'self'; form-action 'self';"
                f" base-uri 'none'; frame-ancestors {self._frames.policy_for(session)}"
            ),
            "Cache-Control": "no-store",
            # With no-referrer a browser posts our own forms with `Origin: null`.
            "Referrer-Policy": "same-origin",
            "X-Content-Type-Options": "nosniff",
            # A window that a host has opened can only tell it what happened while the two know each other.
            "Cross-Origin-Opener-Policy": "unsafe-none" if session is not None and session.origin else "same-origin-allow-popups",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        }


class _When:
    """Times in the reader's language: as a date and time, or as the distance from now."""

    def __init__(self, locale: Locale, now: datetime) -> None:
        self._locale = locale
        self._now = now

    def __call__(self, time: datetime, /) -> Markup:
        return self._marked(time, format_datetime(time, "medium", locale=self._locale) + " UTC")

    def day(self, time: datetime, /) -> Markup:
        """Return the day alone."""
        return self._marked(time, format_date(time, "long", locale=self._locale))

    def brief(self, time: datetime, /) -> Markup:
        """Return the day in short, for tables."""
        return self._marked(time, format_date(time, "medium", locale=self._locale))

    def from_now(self, time: datetime, /) -> Markup:
        """Return the distance of *time* from now, for example "in 3 days"."""
        return self._marked(time, format_timedelta(time - self._now, add_direction=True, locale=self._locale))

    def _marked(self, time: datetime, text: str) -> Markup:
        return Markup('<time datetime="{}">{}</time>').format(time.isoformat(), text)
