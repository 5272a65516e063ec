"""The requests of each method of a provider, built as the library builds them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Literal
from uuid import UUID

from cloud_integrations.domain.credential import Presented
from cloud_integrations.domain.identifiers import IntegrationId
from cloud_integrations.domain.narrowing import read_narrow
from cloud_integrations.domain.platform import tenant_tag
from cloud_integrations.domain.provider import KeyRevocation, Method, Narrowing, NewKey, Provider, Step, Verification
from cloud_integrations.domain.provider.minting import PLATFORM
from cloud_integrations.domain.provider.trust import OUR_SUBJECT
from cloud_integrations.domain.secret import Secret
from cloud_integrations.domain.signing import Unsigned
from cloud_integrations.errors import CloudIntegrationsError, ValidationFailedError
from cloud_integrations.kinds import Parts, auth_type_of, by_consent, present, shown_parts
from cloud_integrations.protocol.device import build_device_request, build_poll
from cloud_integrations.protocol.http import HttpRequest, HttpResponse
from cloud_integrations.protocol.installation import build_page
from cloud_integrations.protocol.key_revocation import build_key_revocation
from cloud_integrations.protocol.minting import build_step, find_platform_proofs, find_steps, sign_step
from cloud_integrations.protocol.narrowing import find_excess, read_narrowing
from cloud_integrations.protocol.new_key import build_new_key
from cloud_integrations.protocol.par import build_pushed_request, build_reference_url
from cloud_integrations.protocol.platform_tokens import finish_token, signing_input, write_claims
from cloud_integrations.protocol.provider_time import build_time_request
from cloud_integrations.protocol.scopes import scopes_to_request
from cloud_integrations.protocol.verification import answer_challenge, build_check, find_check

from .fake_values import (
    NONCE,
    NOW,
    PRODUCT,
    REDIRECT,
    SERVER,
    STATE,
    TENANT,
    VERIFIER,
    client_of,
    inputs_of,
    jwt,
    moments,
    private_key,
    variables_of,
)
from .showing import show_request, show_url, words

Section = tuple[str, list[str]]
INTEGRATION = IntegrationId(UUID("11111111-2222-3333-4444-555555555555"))
IDENTITY = "fake-identity"
_CHALLENGE = 'Digest realm="fake", nonce="fake-nonce", qop="auth", algorithm=MD5'


def consent_sections(provider: Provider, method: Method, /) -> Iterator[Section]:
    """Return the requests of a consent, and the page where a person ends it."""
    if by_consent(auth_type_of(method)):
        yield from _of_consent(provider, method)
    if method.revoke is not None and method.revoke.manual_url is not None:
        page = method.revoke.find_manual_url({**variables_of(provider, method), "client_id": "client-1"})
        yield "page to revoke by hand", show_url(page or "")


def mint_sections(provider: Provider, method: Method, /) -> Iterator[Section]:
    """Return the requests of a mint, those that narrow what it gives, and those that the provider must refuse."""
    yield from _of_mint(provider, method)
    yield from _narrowed(provider, method)
    yield from _must_fail(provider, method)


def credential_sections(provider: Provider, method: Method, /) -> Iterator[Section]:
    """Return the requests that show the credential: its checks, its end, and a new key."""
    yield from _of_checks(provider, method)
    if method.key_revocation is not None:
        yield "revoke the key", show_request(key_revocation_of(provider, method, method.key_revocation))
    if method.rotation is not None:
        yield from _of_rotation(provider, method, method.rotation)


def _of_consent(provider: Provider, method: Method) -> Iterator[Section]:
    client = client_of(provider, method)
    scopes, backend = scopes_to_request(client), client.backend
    if client.authorize_url is not None:
        url = backend.build_authorize(client, state=STATE, redirect_uri=REDIRECT, scopes=scopes, verifier=VERIFIER)
        yield "authorize", show_url(url)
        if client.par_url is not None:
            yield "authorize: pushed", show_request(build_pushed_request(client, url))
            yield "authorize: after the push", show_url(build_reference_url(client, url, request_uri=Secret("fake-reference")))
    if client.device_url is not None:
        yield "device code", show_request(build_device_request(client, scopes=scopes))
        yield "device code: poll", show_request(build_poll(client, device_code=Secret("fake-device-code")))
    for way in method.client_auth:
        with_way = client_of(provider, method, auth=way)
        request = backend.build_exchange(with_way, code=Secret("fake-code"), redirect_uri=REDIRECT, verifier=VERIFIER)
        yield f"exchange, client authentication {way}", show_request(request)
    if method.installation is not None and method.installation.listing is not None:
        yield "list of installations", show_request(build_page(client, method.installation.listing, token=Secret("fake-access"), page=1))
    if not method.mint:
        yield "refresh", show_request(backend.build_refresh(client, refresh_token=Secret("fake-refresh"), redirect_uri=REDIRECT))
    kinds: tuple[Literal["refresh", "access"], ...] = ("refresh", "access")
    for kind in kinds:
        revocation = backend.build_revoke(client, token=Secret(f"fake-{kind}"), kind=kind)
        if revocation is not None:
            yield f"revoke the {kind} token", show_request(revocation)


def mint_values(provider: Provider, method: Method, /, *, optional: bool = True) -> dict[str, Secret | str]:
    """Return what the steps of a mint are made from: variables, inputs, and what the operator and the library add."""
    ours: dict[str, Secret | str] = {"integration_id": str(INTEGRATION), "product": PRODUCT, "tenant_tag": tenant_tag(TENANT)}
    if method.application == "platform":
        ours |= {"client_id": "client-1", "client_secret": Secret("fake-client-secret")}
    if method.uses_application_key:
        ours["application"] = Secret(private_key())
    if any(proof.by_platform for proof in method.proofs.values()):
        ours[PLATFORM] = SERVER
    return {**variables_of(provider, method), **inputs_of(method, optional=optional), **ours}


def build_mint(provider: Provider, method: Method, step: Step, values: dict[str, Secret | str], /, *, signed: bool = True) -> HttpRequest:
    """Return the request of one step; a token of our own issuer has a signature that is none."""
    made = {}
    for name in find_platform_proofs(step, values=values, proofs=method.proofs):
        claims = write_claims(method.proofs[name], issuer=SERVER, tenant_id=_tenant(), values=values, now=NOW, jti="jti-1")
        made[name] = finish_token(signing_input(claims, key_id="key-1"), b"fake-signature")
    request = build_step(step, values=values, proofs=method.proofs, provider_id=provider.id, now=NOW, jti="jti-1", made=made)
    if not signed or step.sign is None:
        return request
    return sign_step(step, request, platform=_operators(provider, step.sign), values=values, now=NOW, nonce=NONCE)


def _tenant() -> Any:
    return TENANT


def _operators(provider: Provider, signature: str) -> Parts:
    """Return the operator's own credential: the inputs of the method whose requests have the same signature."""
    signing = next(method for method in provider.methods if method.present.sign == signature and not method.mint)
    return inputs_of(signing, optional=False)


def _of_mint(provider: Provider, method: Method) -> Iterator[Section]:
    values = mint_values(provider, method)
    least = mint_values(provider, method, optional=False)
    for index, step in enumerate(method.mint, start=1):
        if step in find_steps(method.mint, values=values):
            ways = step.client_auth or (None,)
            for way in ways:
                asked = step if way is None else step.model_copy(update={"client_auth": (way,)})
                title = f"mint, step {index}" + ("" if way is None else f", client authentication {way}")
                yield title, show_request(build_mint(provider, method, asked, values))
        if step not in find_steps(method.mint, values=least):
            yield f"mint, step {index}: left out", [f"without {step.when}"]
        values |= given_by(step)
        least |= given_by(step)


def given_by(step: Step, /) -> dict[str, Secret | str]:
    """Return what a step gives, by name."""
    return {name: Secret(f"fake-{name}") for name in step.reply.gives}


@cache
def _claims_of(paths: tuple[str, ...]) -> str:
    return jwt({path.removeprefix("claim:"): f"fake-{path.removeprefix('claim:')}" for path in paths})


def presented_by(provider: Provider, method: Method, /, *, optional: bool = True) -> Presented:
    """Return the credential of *method* as requests show it."""
    inputs = inputs_of(method, optional=optional)
    if method.mint:
        minted = {name: Secret(f"fake-{name}") for step in reversed(method.mint) for name in step.reply.gives}
        parts: Parts = shown_parts(method, inputs, minted)
    elif by_consent(auth_type_of(method)):
        parts = {"access_token": Secret("fake-access")}
    else:
        parts = inputs
    claims = tuple(
        path for check in checks_of(provider, method) for path in (*check[1].identity, *check[1].label) if path.startswith("claim:")
    )
    if claims:
        parts = {**parts, next(iter(parts)): Secret(_claims_of(claims))}
    return present(method, parts, variables=variables_of(provider, method), moments=moments())


def checks_of(provider: Provider, method: Method, /) -> list[tuple[int, Verification]]:
    """Return the checks that may be used for *method*, with their numbers in the file."""
    numbered = enumerate(provider.verifications, start=1)
    return [(index, check) for index, check in numbered if not check.for_methods or method.id in check.for_methods]


def _of_checks(provider: Provider, method: Method) -> Iterator[Section]:
    known, presented = variables_of(provider, method), presented_by(provider, method)
    if method.present.clock is not None:
        yield "time of the provider", show_request(build_time_request(provider, method.present.clock, variables=known))
    for index, check in checks_of(provider, method):
        request = build_check(provider, method, check, presented=presented, variables=known)
        yield f"check {index}", show_request(request)
        challenge = HttpResponse(status=401, headers={"www-authenticate": _CHALLENGE})
        answered = answer_challenge(request, challenge, presented=presented, again=False)
        if answered is not None:
            yield f"check {index}: after the challenge", show_request(answered)
    if method.present.sign is not None:
        yield "another request, signed", _signed(presented)
    used_with = [_number_of_check(provider, method, optional=optional) for optional in (True, False)]
    if len(checks_of(provider, method)) > 1 or len(set(used_with)) > 1:
        yield "check that is used", [f"with the optional variables: {used_with[0]}", f"without them: {used_with[1]}"]
    fewer = presented_by(provider, method, optional=False)
    if fewer.parts != presented.parts and (used := find_check(provider, method, variables=known)) is not None:
        try:
            shown = show_request(build_check(provider, method, used, presented=fewer, variables=known))
        except ValidationFailedError as error:
            shown = [str(error)]
        yield "check without the optional inputs", shown


def _signed(presented: Presented) -> list[str]:
    """Return what a user of the credential sends, who gives no options of the signature."""
    try:
        signed = presented.sign(Unsigned(method="GET", url=f"{SERVER}/path?name=value"))
    except CloudIntegrationsError as error:
        return [str(error)]
    return show_request(HttpRequest(method="GET", url=signed.url, headers=signed.headers, provider_id=""))


def _number_of_check(provider: Provider, method: Method, *, optional: bool) -> str:
    used = find_check(provider, method, variables=variables_of(provider, method, optional=optional))
    return next((str(index) for index, check in checks_of(provider, method) if check is used), "none")


def key_revocation_of(provider: Provider, method: Method, facts: KeyRevocation, /) -> HttpRequest:
    """Return the request that ends a key."""
    request = build_key_revocation(
        provider, method, facts, presented=presented_by(provider, method), variables=variables_of(provider, method), identity=IDENTITY
    )
    assert request is not None
    return request


def _of_rotation(provider: Provider, method: Method, facts: NewKey) -> Iterator[Section]:
    known = variables_of(provider, method)
    request = build_new_key(
        provider, method, facts, presented=presented_by(provider, method), variables=known, identity=IDENTITY, product=PRODUCT, now=NOW
    )
    assert request is not None
    never = [f"never with {name}" for name in facts.never_with]
    yield f"new key ({facts.does})", [*show_request(request), *never]


def _narrowed(provider: Provider, method: Method) -> Iterator[Section]:
    for name, each in method.narrow.items():
        asked = _asked(each, method)
        requests = read_narrowing(method, _narrow({name: asked}))
        if requests.minting is not None:
            values = mint_values(provider, method)
            yield f"narrowed by {name}: mint", show_request(build_mint(provider, method, requests.minting.mint[0], values))
        if requests.exchanging is not None:
            values = mint_values(provider, method) | {"access_token": Secret("fake-access_token")}
            yield f"narrowed by {name}: exchange", show_request(build_mint(provider, method, requests.exchanging.mint[0], values))
        if requests.scopes:
            client = client_of(provider, method)
            request = client.backend.build_refresh(client, refresh_token=Secret("fake-refresh"), scopes=requests.scopes)
            yield f"narrowed by {name}: refresh", show_request(request)
        yield f"narrowed by {name}: limits", list(_limits(method, name, each))


def _narrow(values: dict[str, Any]) -> Any:
    return read_narrow(values)


def _asked(each: Narrowing, method: Method) -> Any:
    if each.to == "refresh":
        return [*method.scopes.default[:1]] or ["fake-scope"]
    if each.form == "object":
        return {"fake": "value"}
    if each.form == "list":
        return ["Fake-1", "fake-2"]
    return {"fake": each.levels[0]} if each.levels else {"fake": "value", "other": "value"}


def _limits(method: Method, name: str, each: Narrowing) -> Iterator[str]:
    """Say what is refused: too many, too long, reserved names; and which answers give more than was asked."""
    too_much: list[tuple[str, Any]] = [("too long", {"a": "b" * 3000})]
    if each.form == "list":
        too_much = [("too many", [f"f{number}" for number in range(1001)]), ("too long", ["f" * 2049])]
    elif each.form == "map":
        level = each.levels[-1] if each.levels else "v"
        too_much = [
            ("too many", {f"f{number}": level for number in range(999)}),
            ("too long", {"f" * 2049: level}),
            ("no level", {"f": "?"}),
        ]
        too_much += [(f"with {reserved}", {reserved.upper(): level}) for reserved in each.reserved]
    for what, value in too_much:
        try:
            read_narrowing(method, _narrow({name: value}))
            yield f"{what}: taken"
        except ValidationFailedError as error:
            yield f"{what}: {error.problem}"
    if each.answer is not None:
        yield f"the answer says it at {each.answer}"
        yield from _excesses(method, name, each)


def _excesses(method: Method, name: str, each: Narrowing) -> Iterator[str]:
    if each.form == "list":
        told: list[Any] = [["Fake-1", "fake-2"], ["fake-1"], ["Fake-1", "other"], []]
    else:
        told = [[{"fake": level}] for level in each.levels] + [[{"other": level}] for level in each.levels]
        told += [[{"fake": each.levels[0], implied: level}] for implied in each.implied for level in each.levels]
    wanted = {"fake": each.levels[len(each.levels) // 2]} if each.levels else _asked(each, method)
    requests = read_narrowing(method, _narrow({name: wanted}))
    for given in told:
        excess = find_excess(requests, {name: given})
        yield f"asked for {words(wanted)}, given {words(given)}: {'within' if excess is None else 'too much'}"


def _must_fail(provider: Provider, method: Method) -> Iterator[Section]:
    for test in method.must_fail:
        title = f"must fail: without {test.without}" if test.without else f"must fail: another {test.replacing}"
        if test.name == OUR_SUBJECT:
            yield title, ["the mint, with a token for another tenant", f"else: {test.mend}"]
            continue
        values = mint_values(provider, method)
        sending = next(step for step in method.mint if f"{{{test.name}}}" in step.fields.values())
        if test.without:
            sending = sending.without(test.name)
        else:
            values |= {test.name: "fake-other"}
        yield title, [*show_request(build_mint(provider, method, sending, values, signed=False)), f"else: {test.mend}"]
