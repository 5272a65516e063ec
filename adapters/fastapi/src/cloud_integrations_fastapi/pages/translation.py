"""The texts of the pages in the reader's language: English is in the code, the others in catalogue files (gettext)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from gettext import GNUTranslations, NullTranslations
from operator import itemgetter
from pathlib import Path
from typing import Final

from babel import Locale, UnknownLocaleError, negotiate_locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

FOLDER: Final = Path(__file__).parent / "locales"
ENGLISH: Final = "en"


def languages() -> tuple[str, ...]:
    """Return the languages that the pages have, as tags (BCP 47), English first."""
    return (ENGLISH, *sorted(path.stem for path in FOLDER.glob("*.po")))


def choose(wanted: str | None, accepted: str | None, /) -> Locale:
    """Return the language to show: *wanted* (a tag) if the pages have it, else the best of *accepted* (`Accept-Language`)."""
    known = languages()
    for asked in ([wanted] if wanted else [], _accepted(accepted or "")):
        found = negotiate_locale(asked, known, sep="-")
        if found is not None:
            return Locale.parse(found, sep="-")
    return Locale.parse(ENGLISH)


@cache
def texts(locale: str, /) -> NullTranslations:
    """Return the texts of a language, with their plurals; English for a language that has no file."""
    path = FOLDER / f"{locale}.po"
    if not path.is_file():
        return NullTranslations()
    with path.open("rb") as file:
        catalogue = read_po(file, locale=locale.replace("-", "_"))
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return GNUTranslations(compiled)


def _accepted(header: str) -> Sequence[str]:
    """Return the languages of `Accept-Language` (RFC 9110 §12.5.4), the best first; what is not one is left out."""
    weighed: list[tuple[float, str]] = []
    for item in header[:512].split(","):
        tag, _, weight = item.strip().partition(";q=")
        try:
            Locale.parse(tag, sep="-")
            weighed.append((-float(weight or 1), tag))
        except (ValueError, UnknownLocaleError):
            continue
    return [tag for weight, tag in sorted(weighed, key=itemgetter(0)) if weight < 0]
