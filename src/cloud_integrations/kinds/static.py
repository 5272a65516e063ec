"""Values that the tenant enters: a key, a pair of keys, or a name and a password."""

from __future__ import annotations

from collections.abc import Iterator

from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.parts import Parts
from cloud_integrations.domain.provider import Method, Present
from cloud_integrations.protocol.proofs import check_pem

from .unused import unused_fields

_OURS = {
    "id", "kind", "access_token", "after_connecting", "application", "exchange", "headers", "idle", "inputs", "mint", "must_fail",
    "narrow", "present", "proofs", "revoke", "rotation", "variables",
}  # fmt: skip

_OF_A_MINT = ("access_token", "application", "exchange", "must_fail", "narrow", "proofs")
"""Without a mint there are proofs only if requests show them."""


class Static:
    """Values that are sent as the tenant entered them; the library does not fetch them, and ends them only if it is asked."""

    name = "key"
    auth_type = AuthType.API_KEY

    def problems(self, method: Method, /) -> Iterator[str]:
        """See `Kind.problems`."""
        if not method.mint and not any(given.secret for given in method.inputs):
            yield " needs a secret input"
        if not method.mint:
            yield from unused_fields(method, _OF_A_MINT if not method.shown_proofs else _OF_A_MINT[:-1])
        yield from _misused_proofs(method)
        if method.present.sign is None and not any(method.present.templates()):
            yield ".present says nothing"
        names = [name for given in method.inputs for name in given.part_names]
        if len(set(names)) != len(names):
            yield ".inputs give two parts one name"
        yield from unused_fields(method, Method.model_fields.keys() - _OURS)
        if method.headers.keys() - {"api"}:
            yield ".headers has no token for this kind"
        if method.revoke is not None and method.revoke.url is not None:
            yield ".revoke has no url for this kind"

    def part_names(self, method: Method, /) -> tuple[str, ...]:
        """See `Kind.part_names`; secrets come first."""
        return tuple(name for given in sorted(method.inputs, key=lambda given: not given.secret) for name in given.part_names)

    def present(self, method: Method, /) -> Present:
        """See `Kind.present`."""
        return method.present

    def read_inputs(self, method: Method, inputs: Parts, /) -> Parts:
        """See `Kind.read_inputs`."""
        parts = {name: inputs[name] for name in self.part_names(method) if name in inputs}
        keys = {given.name for given in method.inputs if given.form == "pem" and given.secret}
        # A document may have the key as one of its parts.
        keys |= {proof.key_name for proof in method.proofs.values()}
        for name in parts:
            if name in keys:
                _check_private_key(method, name, parts)
        return parts


def _check_private_key(method: Method, name: str, parts: Parts) -> None:
    """Refuse a private key that could not be used; its passphrase is the part that its proof names, or `passphrase`."""
    proof = next((proof for proof in method.proofs.values() if proof.key_name == name), None)
    passphrase = "passphrase" if proof is None or proof.passphrase_name is None else proof.passphrase_name
    check_pem(parts[name], name=name, passphrase=parts.get(passphrase), alg=None if proof is None else proof.alg)


def _misused_proofs(method: Method) -> Iterator[str]:
    """Say which proofs cannot be shown in requests."""
    names = [name for given in method.inputs for name in given.part_names]
    for name in method.shown_proofs:
        if method.mint:
            yield f".present shows the proof {name}, and the mint gives what is shown"
        if name in names:
            yield f".proofs and .inputs both have {name}, which present shows"
        if name in method.proofs and method.proofs[name].key_name not in names:
            yield f".proofs.{name} is shown in requests, so its private key must be an input"
