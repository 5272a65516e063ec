"""The protocol of a kind of method."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.parts import Parts
from cloud_integrations.domain.provider import Method, Present


class Kind(Protocol):
    """One kind of method to obtain access; it reads a provider file and a tenant's inputs, and sends nothing."""

    @property
    def name(self) -> str:
        """The value of `kind` in a provider file."""
        ...

    @property
    def auth_type(self) -> AuthType:
        """Its name in the public API: `oauth2` if a person consents, `apikey` if the tenant enters values."""
        ...

    def problems(self, method: Method, /) -> Iterable[str]:
        """Return what *method* lacks, and what it has that this kind does not use; each text follows the method's id directly."""
        ...

    def part_names(self, method: Method, /) -> tuple[str, ...]:
        """Return the names of the parts that a request carries; the first is the token or the key itself."""
        ...

    def present(self, method: Method, /) -> Present:
        """Return where the parts go in a request."""
        ...

    def read_inputs(self, method: Method, inputs: Parts, /) -> Parts:
        """Return the parts to store, by name, made from the tenant's cleaned *inputs*.  Not called for grants.

        Raises `ValidationFailedError`, which names the input (`credentials.<name>`).
        """
        ...
