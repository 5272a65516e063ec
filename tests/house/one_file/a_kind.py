"""A way to obtain access that this library does not know: one pasted text holds the user name and the password."""

from __future__ import annotations

from collections.abc import Iterator

from cloud_integrations import AuthType, Provider, Secret
from cloud_integrations.errors import ValidationFailedError
from cloud_integrations.kinds import Method, Parts, Present, register


class PastedPair:
    """`name:password` in one input, shown by HTTP Basic (RFC 7617)."""

    name = "pasted_pair"
    auth_type = AuthType.API_KEY

    def problems(self, method: Method, /) -> Iterator[str]:
        """See `Kind.problems`."""
        if len(method.inputs) != 1:
            yield " needs one input"

    def part_names(self, _: Method, /) -> tuple[str, ...]:
        """See `Kind.part_names`."""
        return ("password", "user")

    def present(self, _: Method, /) -> Present:
        """See `Kind.present`."""
        return Present.model_validate({"basic": {"user": "{user}", "password": "{password}"}})

    def read_inputs(self, method: Method, inputs: Parts, /) -> Parts:
        """See `Kind.read_inputs`."""
        entered = method.inputs[0].name
        user, colon, password = inputs[entered].reveal().partition(":")
        if not (user and colon and password):
            raise ValidationFailedError(field=f"credentials.{entered}", problem="must be a name and a password, with a colon between them")
        return {"password": Secret(password), "user": Secret(user)}


register(PastedPair())
METHOD = {"id": "pair", "kind": "pasted_pair", "inputs": [{"name": "pair"}]}
PROVIDER = Provider.model_validate(
    {
        "id": "acme",
        "name": "Acme",
        "methods": [METHOD],
        "verifications": [{"url": "https://api.acme.example/me", "identity": ["json:id"]}],
    }
)
