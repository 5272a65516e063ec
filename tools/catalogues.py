"""Bring the catalogues of the pages up to date with their texts: `catalogues.py`.

Every text of the templates and of the code becomes an entry of each `.po` file, without a translation if it is new; what no page says any
more is removed.  The translations themselves are written by people, in those files.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import read_po, write_po
from jinja2.ext import babel_extract

from cloud_integrations_fastapi.pages.translation import FOLDER
from cloud_integrations_fastapi.results import TEXTS

PAGES = FOLDER.parent
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "mark": None}
OPTIONS = {"trimmed": "true", "newstyle_gettext": "true", "trim_blocks": "true", "lstrip_blocks": "true", "silent": "false"}

# Neither dates nor the names of tools and people: a file changes where its texts do.
DROPPED = tuple(
    f'"{name}'
    for name in ("Generated-By", "POT-Creation-Date", "PO-Revision-Date", "Last-Translator", "Language-Team", "Project-Id", "Report-Msgid")
)


def messages() -> Iterator[tuple[str | tuple[str, ...], str]]:
    """Give every text of the pages, or its forms where it counts, and the file that has it."""
    for file in sorted(PAGES.rglob("*.html")):
        for _, _, text, _ in babel_extract(io.BytesIO(file.read_bytes()), ("_", "gettext", "ngettext"), (), OPTIONS):
            if text is None:
                continue  # chosen by a value: marked where it is written
            forms = (text,) if isinstance(text, str) else tuple(part for part in text if part is not None)
            yield forms if len(forms) > 1 else forms[0], file.relative_to(PAGES).as_posix()
    for file in sorted(PAGES.rglob("*.py")):
        for _, text, *_ in extract("python", io.BytesIO(file.read_bytes()), KEYWORDS):
            yield text, file.relative_to(PAGES).as_posix()
    for text in TEXTS:
        yield text, "results.py"


def catalogue(language: str) -> Catalog:
    """Return the file of a language, or a new one, with the texts of today."""
    path = FOLDER / f"{language}.po"
    written = read_po(io.BytesIO(path.read_bytes() if path.exists() else b""), locale=language)
    made = Catalog(locale=language, header_comment=written.header_comment, fuzzy=False, charset="utf-8")
    if dict(written.mime_headers).get("Plural-Forms"):
        made.mime_headers = written.mime_headers  # the plurals of the file, whichever version of Babel reads it
    for text, where in messages():
        old = written.get(text if isinstance(text, str) else text[0])
        made.add(text, old.string if old is not None else None, locations=[(where, None)], user_comments=old.user_comments if old else ())
    return made


def main(*languages: str) -> None:
    """Write the files of *languages*, or of all."""
    for language in languages or sorted(path.stem for path in FOLDER.glob("*.po")):
        made = io.BytesIO()
        write_po(made, catalogue(language), width=0, sort_output=False, omit_header=False)
        kept = [line for line in made.getvalue().decode().splitlines() if not line.startswith(DROPPED)]
        (FOLDER / f"{language}.po").write_text("\n".join(kept).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
