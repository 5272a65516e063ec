"""Values that the tenant enters, as they are: a key, a pair, a name and a password."""

from __future__ import annotations

from collections.abc import Iterator

from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.parts import Parts
from cloud_integrations.domain.provider import Method, Placement

from .unused import unused_fields

_OURS = {"id", "kind", "headers", "inputs", "placement", "revoke"}


class Static:
    """Values that are shown as they were entered; no request of ours fetches or ends one."""

    name = "key"
    auth_type = AuthType.API_KEY

    def problems(self, method: Method, /) -> Iterator[str]:
        """See `Kind.problems`."""
        if not any(given.secret for given in method.inputs):
            yield " needs a secret input"
        if not method.placement:
            yield " needs a placement"
        yield from unused_fields(method, Method.model_fields.keys() - _OURS)
        if method.headers.keys() - {"api"}:
            yield ".headers has no token for this kind"
        if method.revoke is not None and method.revoke.url is not None:
            yield ".revoke has no url for this kind"

    def part_names(self, method: Method, /) -> tuple[str, ...]:
        """See `Kind.part_names`: secrets come first."""
        return tuple(given.name for given in sorted(method.inputs, key=lambda given: not given.secret))

    def placements(self, method: Method, /) -> tuple[Placement, ...]:
        """See `Kind.placements`."""
        return method.placement

    def read_inputs(self, method: Method, inputs: Parts, /) -> Parts:
        """See `Kind.read_inputs`."""
        return {name: inputs[name] for name in self.part_names(method) if name in inputs}
