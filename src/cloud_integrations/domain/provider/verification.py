"""The check of a credential."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import field_validator

from cloud_integrations.domain.check import CheckOutcome

from .base import FileTable
from .predicates import Predicate


class Verification(FileTable):
    """The provider's cheapest read-only check of a credential."""

    for_methods: tuple[str, ...] = ()
    """Method ids; empty means every method."""
    method: Literal["GET", "POST", "HEAD"] = "GET"
    """The HTTP method."""
    url: str
    """A template like any URL."""
    headers: dict[str, str] = {}
    """Further headers."""
    body: str | None = None
    """What is sent, as it is."""
    needs: tuple[str, ...] = ()
    """Variables without which this check is passed over, beside those of `url`."""
    statuses: tuple[int, ...] = (200,)
    """The statuses of a credential that works."""
    success: tuple[Predicate, ...] = ()
    """Tests on the body; all must hold, beside the status."""
    identity: tuple[str, ...] = ()
    """Where the account's parts stand, joined by `/`: `json:` a dotted path in the body, `header:` a header, `ctx:` a variable,
    `claim:` a claim of the token, where that is a JWT.  Empty: the key's keyed fingerprint stands in.

    Without its first part there is no identity; a later part may be missing.
    """
    label: tuple[str, ...] = ()
    """Paths to what a person calls the account; the first that is there is used."""
    status_rules: dict[int, CheckOutcome] = {401: "dead"}
    """What a status that is no success means; any other means `unknown`, which is no verdict."""

    @field_validator("identity", "label")
    @classmethod
    def _known_places(cls, paths: tuple[str, ...]) -> tuple[str, ...]:
        for path in paths:
            if not re.fullmatch(r"(?:json|header|ctx|claim):[^\s:]+", path):
                raise ValueError("a path starts with json:, header:, ctx: or claim:")
        return paths
