"""Icons of providers: letters on a coloured square, so that no drawing of somebody else is needed."""

from __future__ import annotations

import hashlib
import re
from colorsys import hls_to_rgb
from dataclasses import dataclass
from html import escape
from typing import Final, Self

LEAST_CONTRAST: Final = 4.5
"""The least contrast of the letters (WCAG 2.2, success criterion 1.4.3)."""
_SATURATION = 0.55
_LIGHTEST = 48
"""The lightness to begin with, in percent; it is lowered until the contrast is enough."""
_WORD = re.compile(r"[^\W_]+")
_PART = re.compile(r"[A-Z]?[^A-Z]+|[A-Z]+")
_SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64" viewBox="0 0 64 64" role="img" aria-label="{name}">'
    '<rect width="64" height="64" rx="14" fill="{background}"/>'
    '<text x="32" y="{baseline}" font-family="system-ui, sans-serif" font-size="{size}" font-weight="600" fill="#ffffff" '
    'text-anchor="middle">{letters}</text></svg>\n'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderIcon:
    """An icon of a provider: white letters on a square.  It is made of the slug and the name alone, and shows no trademark."""

    letters: str
    """One or two letters of the name."""
    background: str
    """The colour of the square as `#rrggbb`; white letters on it have a contrast of at least 4.5 to 1."""
    name: str
    """The provider's name, for those who do not see the icon."""

    @classmethod
    def of(cls, *, slug: str, name: str) -> Self:
        """Return the icon of a provider; the same slug has the same colour everywhere."""
        return cls(letters=_letters(name) or _letters(slug) or "?", background=_background(slug), name=name)

    def svg(self) -> str:
        """Return the icon as an SVG document of 64 by 64 pixels, without scripts, styles or anything from elsewhere."""
        size = 28 if len(self.letters) > 1 else 34
        named = "".join(letter for letter in self.name if letter.isprintable())
        return _SVG.format(
            name=escape(named), background=self.background, baseline=32 + round(size * 0.36), size=size, letters=escape(self.letters)
        )


def contrast_with_white(colour: str, /) -> float:
    """Return the contrast ratio of white with a colour that is written as `#rrggbb` (WCAG 2.2, "contrast ratio")."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)


def _letters(name: str) -> str:
    """Return the first letters of the first two words, or of the parts of a word such as DigitalOcean, or else the first two."""
    words: list[str] = _WORD.findall(name)
    words = _PART.findall(words[0]) if len(words) == 1 else words
    if len(words) == 1:
        return words[0][0].upper()[0] + words[0][1:2].lower()
    return "".join(word[0].upper()[0] for word in words[:2])


def _background(slug: str) -> str:
    hue = int.from_bytes(hashlib.sha256(slug.encode()).digest()[:2]) / 2**16
    lightness = _LIGHTEST
    while contrast_with_white(colour := _written(hue, lightness)) < LEAST_CONTRAST:
        lightness -= 1
    return colour


def _written(hue: float, lightness: int) -> str:
    return "#" + "".join(f"{round(part * 255):02x}" for part in hls_to_rgb(hue, lightness / 100, _SATURATION))
