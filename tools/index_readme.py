"""The README for an index page: a page there has no files beside it, so a relative link becomes the file's name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

RELATIVE_LINK = re.compile(r"\[(?P<label>[^\]]*)\]\((?![a-z]+:)(?P<target>[^)\s]+)\)")


class IndexReadme(MetadataHookInterface):
    """Called by hatchling when it builds the library."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the readme of *metadata*."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": RELATIVE_LINK.sub(_named, text)}


def _named(link: re.Match[str]) -> str:
    return f"`{link['target']}`" if link["label"] == link["target"] else f"{link['label']} (`{link['target']}`)"
