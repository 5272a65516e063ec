"""How a host makes the pages its own: ten CSS variables, a logo, a name and an address for help."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import urlsplit

LogoType = Literal["image/svg+xml", "image/png"]

VARIABLES: Final = frozenset({
    "accent",
    "accent-text",
    "background",
    "danger",
    "font",
    "line",
    "radius",
    "soft",
    "surface",
    "text",
})  # fmt: skip
"""The names of the CSS variables, without `--ci-`; `docs/how-to/make-the-pages-yours.md` explains them."""

_VALUE = re.compile(r"[\w #%.,()'\"+*/-]{1,200}")
_PNG = b"\x89PNG\r\n\x1a\n"
_LARGEST_LOGO = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Branding:
    """The look of the pages.

    *product* is the name of the host's product, as people read it.  *logo* is a PNG or SVG file of at most 64 KiB.  *support* is an
    `https:` or `mailto:` address for help.  *variables* are values of CSS by the names in `VARIABLES`, for example
    `{"accent": "light-dark(#0a6, #5d9)"}`; those that are left out keep their standard value.
    Raises `ValueError` for a name that is not listed, a value that could end its declaration, or a logo of another type.
    """

    product: str = "Integrations"
    logo: bytes | None = field(default=None, repr=False)
    support: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.product.strip() or len(self.product) > 60 or not self.product.isprintable():
            raise ValueError("product must be a printable name of 1 to 60 characters")
        if self.support is not None and not _is_address(self.support):
            raise ValueError("support must be an https: or mailto: address")
        for name, value in self.variables.items():
            if name not in VARIABLES:
                raise ValueError(f"{name!r} is none of the variables {', '.join(sorted(VARIABLES))}")
            if not _VALUE.fullmatch(value) or value.count("(") != value.count(")") or "url(" in value.lower() or "/*" in value:
                raise ValueError(f"the value of {name} must be one CSS value, without url()")
        if self.logo is not None:
            self.logo_type  # noqa: B018  # raises for another type

    @property
    def logo_type(self) -> LogoType:
        """The media type of the logo.  Raises `ValueError` where it is neither PNG nor SVG."""
        logo = self.logo or b""
        if len(logo) > _LARGEST_LOGO:
            raise ValueError("logo must have at most 64 KiB")
        if logo.startswith(_PNG):
            return "image/png"
        if b"<svg" in logo[:512]:
            return "image/svg+xml"
        raise ValueError("logo must be a PNG or SVG file")

    @property
    def css(self) -> str:
        """The variables as a style sheet."""
        declared = "".join(f"--ci-{name}:{value};" for name, value in sorted(self.variables.items()))
        return f":root{{{declared}}}" if declared else ""


def _is_address(text: str) -> bool:
    if not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return (parts.scheme == "https" and bool(parts.hostname)) or (parts.scheme == "mailto" and "@" in parts.path)
