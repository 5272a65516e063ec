"""How much the long tests do: a part of it each time, all of it before a release (`CI_SIZES=full nox -s slow`)."""

from __future__ import annotations

import os

FULL = os.environ.get("CI_SIZES") == "full"
