"""The kinds of method to obtain access, one file each, and the table of them.

A method of a provider file names its kind.  Code outside this package never asks which kind it is, but calls the methods of `Kind`.
`register` adds a kind from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import chain

from cloud_integrations.domain.auth_type import AuthType
from cloud_integrations.domain.credential import ContextMaker, Presented
from cloud_integrations.domain.parts import Parts
from cloud_integrations.domain.provider import IDENTITY, VALUE, Method, Present, Provider, places
from cloud_integrations.domain.provider.rotation import TOLD_TO_MAKER
from cloud_integrations.domain.secret import Secret
from cloud_integrations.domain.signing import Signed, Unsigned

from .grant_code import GrantCode
from .grant_device import GrantDevice
from .installation import GrantInstallation
from .kind import Kind
from .static import Static

__all__ = [
    "Kind",
    "Method",
    "Moments",
    "Parts",
    "Present",
    "auth_type_of",
    "auth_types",
    "by_consent",
    "check_provider",
    "find_consent_method",
    "input_methods",
    "kind_of",
    "present",
    "register",
    "shown_parts",
]

_KINDS: dict[str, Kind] = {kind.name: kind for kind in (GrantCode(), GrantDevice(), GrantInstallation(), Static())}


def register(kind: Kind, /) -> None:
    """Add a kind of method, for the whole process.  Call it before a catalogue with such a provider is made.

    Raises `ValueError` if there is a kind with this name already.
    """
    if kind.name in _KINDS:
        raise ValueError(f"there is a kind {kind.name} already")
    _KINDS[kind.name] = kind


def kind_of(method: Method, /) -> Kind:
    """Return the kind of *method*, whose provider has passed `check_provider`."""
    return _KINDS[method.kind]


def auth_type_of(method: Method, /) -> AuthType:
    """Return the kind of access of *method*, as the public API names it."""
    return kind_of(method).auth_type


def auth_types(provider: Provider, /) -> tuple[AuthType, ...]:
    """Return the kinds of access that *provider* offers, as the public API names them, in the order of its methods."""
    return tuple(dict.fromkeys(map(auth_type_of, provider.methods)))


def by_consent(auth_type: AuthType, /) -> bool:
    """Whether this access is obtained by a person's consent at the provider; otherwise the tenant enters values."""
    return auth_type is AuthType.OAUTH2


def find_consent_method(provider: Provider, method_id: str | None = None, /) -> Method | None:
    """Return the method that is obtained by consent: the one with this id, or the first; None if there is none."""
    for method in provider.methods:
        if by_consent(auth_type_of(method)) and method_id in {None, method.id}:
            return method
    return None


def input_methods(provider: Provider, /) -> tuple[Method, ...]:
    """Return the methods for which the tenant enters values."""
    return tuple(method for method in provider.methods if not by_consent(auth_type_of(method)))


def shown_names(method: Method, /) -> tuple[str, ...]:
    """Return the names of the parts that a request shows, the token or the key first.

    They are what the mint gives, the last step's first, and the inputs that `present` names; or the proofs that `present` names, and the
    inputs that it names or that are no secrets; otherwise the kind's.
    """
    if method.shown_proofs:
        public = [name for given in method.inputs if not given.secret for name in given.part_names]
        named = [name for name in method.present.names() if name != VALUE and not name.startswith("proof:")]
        return tuple(dict.fromkeys([*method.shown_proofs, *named, *public]))
    if not method.mint:
        return kind_of(method).part_names(method)
    given = [name for step in reversed(method.mint) for name in step.reply.gives]
    return tuple(dict.fromkeys([*given, *(name for name in kind_of(method).present(method).names() if name != VALUE)]))


def shown_parts(method: Method, inputs: Parts, minted: Parts, /) -> Parts:
    """Return the parts to store of a credential that was minted from *inputs*: the token first, and with them what is no secret."""
    known = {**inputs, **minted}
    named = [*minted, *(name for name in (*shown_names(method), *_public_names(method)) if name in inputs)]
    return {name: known[name] for name in dict.fromkeys(named)}


def _public_names(method: Method) -> Iterator[str]:
    return (name for each in method.inputs for name in each.public_names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """What signatures of requests, answers to challenges and TLS connections take from the world."""

    now: Callable[[], datetime]
    nonce: Callable[[], bytes]
    """Gives 16 random bytes."""
    tls: ContextMaker
    """Makes TLS contexts."""


def present(method: Method, parts: Parts, /, *, variables: Mapping[str, str], moments: Moments | None = None) -> Presented:
    """Return a credential of *method* from its *parts*, as requests show it.

    Without *moments* it can neither sign, nor answer a challenge, nor make a TLS context.
    Proofs that it shows are made now, and stand in the place of what they are made from.
    Raises `ValidationFailedError` naming an input from which a proof cannot be made.
    """
    if moments is not None and method.shown_proofs:
        parts = {**parts, **_prove(method, parts, variables, moments)}
    names = [name for name in shown_names(method) if name in parts]
    shown = kind_of(method).present(method)
    # A check may name what is no secret, even where no request shows it.
    public = {name: parts[name].reveal() for name in _public_names(method) if name in parts and name not in names}
    return Presented(
        parts={name: parts[name] for name in names},
        present=shown,
        variables={**variables, **public},
        signer=None if shown.sign is None or moments is None else partial(_sign, shown.sign, moments),
        nonce=None if shown.digest is None or moments is None else moments.nonce,
        tls=moments.tls if moments is not None and (shown.certificate or shown.trust) else None,
    )


def _prove(method: Method, parts: Parts, variables: Mapping[str, str], moments: Moments) -> Parts:
    # Imported with the first proof.
    from cloud_integrations.protocol.proofs import make_proof  # noqa: PLC0415

    values: dict[str, Secret | str] = {**variables, **parts}
    now = moments.now()
    return {name: make_proof(method.proofs[name], values=values, now=now, jti=moments.nonce().hex()) for name in method.shown_proofs}


def _sign(name: str, moments: Moments, request: Unsigned, parts: Parts, options: Mapping[str, str]) -> Signed:
    # Imported with the first request that is signed.
    from cloud_integrations.protocol.signing import require_signer  # noqa: PLC0415

    return require_signer(name).sign(request, parts=parts, options=options, now=moments.now(), nonce=moments.nonce())


def check_provider(provider: Provider, /) -> None:
    """Check that the methods of a provider have what their kinds need.  Raises `ValueError`, which names the method."""
    for method in provider.methods:
        kind = _KINDS.get(method.kind)
        if kind is None:
            raise ValueError(f"{method.id}.kind must be one of {', '.join(sorted(_KINDS))}")
        for problem in chain(
            kind.problems(method),
            _misplaced(provider, method, kind),
            _unconnected(method, kind),
            _unsigned(method, kind),
            _unended(method, kind),
            _unmade(provider, method, kind),
        ):
            raise ValueError(f"{method.id}{problem}")


def _unended(method: Method, kind: Kind) -> Iterator[str]:
    """Say whether a key that is to be ended is none, or is one that no single request can show."""
    shown_at_once = not method.mint and kind.present(method).digest is None
    if method.key_revocation is not None and (by_consent(kind.auth_type) or not shown_at_once):
        yield ".revoke.key is for keys that a request shows as they were entered, without a challenge"


def _unmade(provider: Provider, method: Method, kind: Kind) -> Iterator[str]:
    """Say why a new key that the provider makes could not be asked for, or not be used."""
    facts = method.rotation
    if facts is None:
        return
    if kind.present(method).digest is not None:
        yield ".rotation is for keys that a request shows without a challenge"
    inputs = {given.name: given for given in method.entered_inputs}
    if unknown := sorted({*facts.gives, *facts.never_with} - inputs.keys()):
        yield f".rotation names {', '.join(unknown)}, which is no input of this method"
    kept = (given for name, given in inputs.items() if given.required and name not in facts.gives)
    if lost := sorted(given.name for given in kept if given.secret or given.parts):
        yield f".rotation.gives lacks {', '.join(lost)}, which every key has"
    public = {name for given in method.inputs for name in given.public_names}
    known = {variable.name for variable in provider.variables} | public | TOLD_TO_MAKER | {IDENTITY}
    for where, text in facts.templates():
        if unknown := sorted(set(places(text)) - known):
            yield f".rotation.{where} uses {', '.join(unknown)}, which the library does not know"


def _unconnected(method: Method, kind: Kind) -> Iterator[str]:
    """Say which inputs cannot make a TLS connection."""
    shown = kind.present(method)
    if method.mint and (shown.certificate or shown.trust):
        yield ".present has a certificate or trust, which the requests of a mint do not use"
    inputs = {given.name: given for given in method.inputs if given.form == "pem"}
    *certificates, key = places(shown.certificate or "") or ("",)
    named = [("certificate", name, False) for name in certificates] + [("trust", name, False) for name in places(shown.trust or "")]
    for where, name, secret in [*named, *([("certificate", key, True)] if key else [])]:
        if name not in inputs or inputs[name].secret is not secret:
            yield f".present.{where} uses {{{name}}}, which is no input in PEM that is {'a secret' if secret else 'no secret'}"


def _unsigned(method: Method, kind: Kind) -> Iterator[str]:
    """Say what is missing for the signatures of requests and of the steps of the mint."""
    shown = kind.present(method)
    signs = {f".mint[{index}].sign": step.sign for index, step in enumerate(method.mint)} | {".present.sign": shown.sign}
    if not any(signs.values()):
        return
    from cloud_integrations.protocol.signing import find_signer  # noqa: PLC0415  # few files name one

    for where, name in signs.items():
        if name is not None and find_signer(name) is None:
            yield f"{where} names {name}, which is no signature that is known here"
            return
    if shown.sign is None or (signer := find_signer(shown.sign)) is None:
        return
    yield from (f".present.options {problem}" for problem in signer.problems(shown.options, shown_names(method)))


def _misplaced(provider: Provider, method: Method, kind: Kind) -> Iterator[str]:
    """Say which templates of `present` cannot be filled."""
    variables = {variable.name for variable in provider.variables}
    if unknown := sorted(set(places(kind.present(method).clock or "")) - variables):
        yield f".present.clock uses {{{unknown[0]}}}, which is no variable"
    inputs = {name: given for given in method.inputs for name in (given.name, *given.part_names)}
    parts = shown_names(method)
    for where, template in kind.present(method).templates():
        for name in places(template):
            if name not in variables.union(parts, inputs, {VALUE}, (f"proof:{proof}" for proof in method.proofs)):
                yield f".present.{where} uses {{{name}}}, which is no input of the method, no variable and no proof"
            # A line break inside a header's value would begin another header.
            shown = inputs.get(parts[0] if name == VALUE else name)
            if where.startswith("headers.") and shown is not None and shown.form == "pem":
                yield f".present.{where} holds {shown.name}, which may have several lines"
