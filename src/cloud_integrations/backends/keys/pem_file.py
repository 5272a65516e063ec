"""A file of private keys in PEM."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ConfigurationError

_BLOCK: Final = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)


def read_private_blocks(path: str | Path, /) -> list[Secret]:
    """Return each private key of a file, as its block in PEM.

    Raises `ConfigurationError` if the file cannot be read, or if its group or others have any permission on it (POSIX only).
    """
    problem = ""
    blocks: list[Secret] = []
    try:
        with Path(path).open(encoding="utf-8", errors="replace") as file:
            if os.name == "posix" and os.fstat(file.fileno()).st_mode & 0o077:
                problem = "is open to others; run chmod 600 on it"
            else:
                blocks = [Secret(block) for block in _BLOCK.findall(file.read())]
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    if problem:
        raise ConfigurationError(setting=str(path), problem=problem)
    return blocks
