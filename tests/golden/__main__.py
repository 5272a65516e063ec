"""Write the golden file of each built-in provider, or of those that are named: `python -m tests.golden [slug …]`."""

from __future__ import annotations

import sys

from cloud_integrations.providers import Catalogue

from .texts import FOLDER, golden_file, golden_text

providers = {provider.id: provider for provider in Catalogue.builtin().list_providers()}
for slug in sys.argv[1:] or providers:
    golden_file(slug).write_text(golden_text(providers[slug]), encoding="utf-8")
if not sys.argv[1:]:
    for file in FOLDER.glob("*.txt"):
        if file.stem not in providers:
            file.unlink()
