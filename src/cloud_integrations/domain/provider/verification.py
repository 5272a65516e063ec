"""The check of a credential."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import field_validator

from cloud_integrations.domain.check import CheckOutcome

from .base import FileTable
from .predicates import Predicate
from .variables import find_origin


class Verification(FileTable):
    """The provider's cheapest read-only check of a credential."""

    for_methods: tuple[str, ...] = ()
    """Method ids; empty means every method."""
    method: Literal["GET", "POST", "HEAD"] = "GET"
    """The HTTP method."""
    url: str
    """The URL; a template.  It may begin with an input of the form `origin`: `{server}/me`."""
    headers: dict[str, str] = {}
    """Further headers."""
    body: str | None = None
    """The body to send, unchanged."""
    format: Literal["json", "xml"] = "json"
    """How the answer is written.  XML is read as JSON would be: elements by name, without namespaces and attributes."""
    options: dict[str, str] = {}
    """What the credential's signature needs to know of this request; see `options` of `present`."""
    needs: tuple[str, ...] = ()
    """Variables that must have a value for this check to be used, besides those of `url`."""
    statuses: tuple[int, ...] = (200,)
    """The statuses of a credential that works."""
    success: tuple[Predicate, ...] = ()
    """Tests on the JSON body; for a success all must pass, with one of `statuses`."""
    identity: tuple[str, ...] = ()
    """The parts of the account's id, which are joined by `/`: `json:` a dotted path in the body, XML too, `header:` a header, `ctx:` a
    variable or an input that is no secret, `claim:` a claim of the token, if that is a JWT.  Empty: the id is a keyed fingerprint of
    the credential.

    If the first part is missing, there is no id; a later part may be missing.  If the first step of a path is a position (`0.id`), the
    answer may be a list.
    """
    label: tuple[str, ...] = ()
    """Paths to the account's name for people; the first one with a value is used."""
    status_rules: dict[int, CheckOutcome] = {401: "dead"}
    """What a status outside `statuses` means; one that is not listed means `unknown`, which is no verdict."""

    @property
    def origin(self) -> str | None:
        """The name of the input that is the origin of the tenant's server, which `url` begins with; None: the host is the provider's."""
        return find_origin(self.url)

    @field_validator("identity", "label")
    @classmethod
    def _known_places(cls, paths: tuple[str, ...]) -> tuple[str, ...]:
        for path in paths:
            if not re.fullmatch(r"(?:json|header|ctx|claim):[^\s:]+", path):
                raise ValueError("a path starts with json:, header:, ctx: or claim:")
        return paths
