"""Proof Key for Code Exchange (RFC 7636), S256 only."""

from __future__ import annotations

import base64
import re

from authlib.oauth2.rfc7636 import create_s256_code_challenge

from cloud_integrations.domain.secret import Secret

_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}\Z")


def make_verifier(random32: bytes, /) -> Secret:
    """Return a code verifier of 43 characters, made from 32 random bytes (RFC 7636 §4.1).

    Raises `ValueError` for another number of bytes.
    """
    if len(random32) != 32:
        raise ValueError("a code verifier is made from 32 random bytes")
    return Secret(base64.urlsafe_b64encode(random32).rstrip(b"=").decode("ascii"))


def challenge(verifier: Secret, /) -> str:
    """Return the S256 code challenge of *verifier* (RFC 7636 §4.2).  Raises `ValueError` if it is no code verifier."""
    if not _VERIFIER.match(verifier.reveal()):
        raise ValueError("a code verifier has 43 to 128 unreserved characters")
    return str(create_s256_code_challenge(verifier.reveal()))
