"""The check of a credential."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from cloud_integrations.domain.check import CheckOutcome

from .base import FileTable, Headers
from .minting import Expires
from .predicates import Predicate, tells_nothing
from .variables import find_origin, places, texts_in


class Verification(FileTable):
    """The provider's cheapest read-only check of a credential."""

    for_methods: tuple[str, ...] = ()
    """Method ids; empty means every method."""
    method: Literal["GET", "POST", "HEAD"] = "GET"
    """The HTTP method."""
    url: str
    """The URL; a template.  It may begin with an input of the form `origin`: `{server}/me`."""
    headers: Headers = Field(default_factory=dict)
    """Further headers."""
    body: str | None = None
    """The body to send, unchanged."""
    fields: dict[str, JsonValue] = Field(default_factory=dict)
    """The members of a body in JSON, in place of `body`; every text in them is a template of variables and public inputs."""
    format: Literal["json", "xml"] = "json"
    """How the answer is written.  XML is read as JSON would be: elements by name, without namespaces and attributes."""
    options: dict[str, str] = Field(default_factory=dict)
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
    expires: Expires | None = None
    """Where the JSON body says when the key ends, so that the tenant can be told ahead.  Left out: it does not say.  Only for methods whose
    credential is not renewed.
    """
    label: tuple[str, ...] = ()
    """Paths to the account's name for people; the first one with a value is used."""
    status_rules: dict[int, CheckOutcome] = {401: "dead"}
    """What a status outside `statuses` means; one that is not listed means `unknown`, which is no verdict."""

    @field_validator("status_rules")
    @classmethod
    def _takes_no_outage_for_a_dead_credential(cls, rules: dict[int, CheckOutcome]) -> dict[int, CheckOutcome]:
        for status, outcome in rules.items():
            if outcome == "dead" and tells_nothing(status):
                raise ValueError(f"{status} may not mean dead: it says nothing of a credential")
        return rules

    @model_validator(mode="after")
    def _has_one_body(self) -> Self:
        if self.fields and (self.body is not None or self.method != "POST"):
            raise ValueError("fields are the body of a POST: leave out body")
        return self

    @property
    def places(self) -> tuple[str, ...]:
        """The names in the templates of the request."""
        return tuple(name for text in (self.url, *(text for _, text in texts_in("", self.fields))) for name in places(text))

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
