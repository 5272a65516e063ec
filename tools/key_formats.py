"""Write protocol/builtin_formats.py: the formats of all provider files, as plain data that is loaded at once."""

from __future__ import annotations

from pathlib import Path

from cloud_integrations.domain.provider import KeyFormat
from cloud_integrations.providers import Catalogue

TARGET = Path(__file__).parents[1] / "src/cloud_integrations/protocol/builtin_formats.py"
_HEAD = '''"""The formats of the built-in provider files, written by `python tools/key_formats.py`."""

from __future__ import annotations

from typing import Final

from .foreign_formats import FormatRow

BUILTIN: Final = (
'''


def written() -> str:
    """Return the text of the module."""
    rows = [_row(provider.name, each) for provider in Catalogue.builtin().list_providers() for each in provider.formats]
    return f"{_HEAD}{''.join(rows)})\n"


def _row(owner: str, of: KeyFormat) -> str:
    prefixes = "".join(f"{_text(prefix)}, " for prefix in of.prefixes)
    rest = f'r"{of.rest}"' if "\\" in of.rest else _text(of.rest)
    fields = [_text(owner), _text(of.name), f"({prefixes.strip().removesuffix(',') if len(of.prefixes) > 1 else prefixes.strip()})", rest]
    fields += [] if of.checksum is None else [_text(of.checksum)]
    line = f"    FormatRow({', '.join(fields)}),\n"
    return line if len(line) <= 141 else f"    FormatRow(\n{''.join(f'        {field},{chr(10)}' for field in fields)}    ),\n"


def _text(text: str) -> str:
    return f'"{text}"'


if __name__ == "__main__":
    TARGET.write_text(written(), encoding="utf-8")
