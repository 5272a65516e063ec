"""What a way to obtain access has to say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.parts import Parts
from cloud_integrations.domain.provider import Method, Placement


class Kind(Protocol):
    """One way to obtain access: it reads a provider's data and what a tenant enters, and sends nothing."""

    @property
    def name(self) -> str:
        """The word by which a method of a provider file names it (`kind`)."""
        ...

    @property
    def auth_type(self) -> AuthType:
        """What the public API calls it: a person consents (`oauth2`), or values are entered (`apikey`)."""
        ...

    def problems(self, method: Method, /) -> Iterable[str]:
        """Say what *method* lacks, or has without a use; each sentence goes on from the method's id."""
        ...

    def part_names(self, method: Method, /) -> tuple[str, ...]:
        """Return the names of the parts that a request shows; the first is the token or the key itself."""
        ...

    def placements(self, method: Method, /) -> tuple[Placement, ...]:
        """Return where the parts go in a request."""
        ...

    def read_inputs(self, method: Method, inputs: Parts, /) -> Parts:
        """Return the parts that are stored and shown, from what the tenant has entered, cleaned; never asked of a grant.

        Raises `ValidationFailedError` that names the input (`credentials.<name>`).
        """
        ...
