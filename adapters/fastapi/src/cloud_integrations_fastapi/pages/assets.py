"""The files that pages load: each under a path with a hash of its content, so that browsers may keep it for good."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from fastapi import Request, Response

from .branding import Branding

FOLDER = Path(__file__).parent / "static"
EMBED = "embed.js"
"""The element by which a page of another site shows the pages."""
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
_HEADERS = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    # A logo in SVG could be opened by its address: then it is a document, and must not do anything.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """A file and its media type."""

    body: bytes
    media_type: str


class Assets:
    """The files in the folder `static`, and those of a host's branding."""

    def __init__(self, branding: Branding, /) -> None:
        self._found = {path.name: Asset(body=path.read_bytes(), media_type=_TYPES[path.suffix]) for path in sorted(FOLDER.iterdir())}
        if branding.css:
            self._found["brand.css"] = Asset(body=branding.css.encode(), media_type=_TYPES[".css"])
        if branding.logo is not None:
            self._found["logo"] = Asset(body=branding.logo, media_type=branding.logo_type)
        self._hashes = {name: hashlib.sha256(asset.body).hexdigest()[:16] for name, asset in self._found.items()}

    def path(self, name: str, /) -> str | None:
        """Return the path of a file below the folder of assets; None if there is no such file."""
        return f"{self._hashes[name]}/{name}" if name in self._found else None

    def answer_to_all(self, request: Request) -> Response:
        """Return the script for pages of other sites, under an address that stays: it holds nothing that is anybody's."""
        response = self.answer(request, version=self._hashes[EMBED], name=EMBED)
        response.headers.update({"Cache-Control": "public, max-age=3600", "Cross-Origin-Resource-Policy": "cross-origin"})
        response.headers["Access-Control-Allow-Origin"] = "*"  # for those who pin it by its hash (`integrity`)
        return response

    def answer(self, request: Request, /, *, version: str, name: str) -> Response:
        """Return the file, or 404 for a name or a hash that is not known."""
        asset = self._found.get(name)
        if asset is None or self._hashes[name] != version:
            return Response(status_code=HTTPStatus.NOT_FOUND, headers={"Cache-Control": "no-store"})
        tag = f'"{version}"'
        headers = {**_HEADERS, "ETag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return Response(asset.body, HTTPStatus.OK, headers, asset.media_type)
