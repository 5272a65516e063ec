"""Where a secret is compared, the time that it takes says nothing: every such place uses `hmac.compare_digest`, or is listed here."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REVEALS = {"reveal", "revealed"}
SECRET_WORDS = {
    *("commitment", "digest", "fingerprint", "hash", "mac", "password", "secret", "secrets", "sha256", "signature", "token", "verifier"),
}
"""A name with one of these words holds a secret, or what is made of one."""

LOOKUP = "a look-up by the hash of the secret: what is compared tells nothing about the secret"
CHAIN = "the audit chain, whose hashes are shown to everybody who may read the log"
OF_SECRETS = "values of the class `Secret`, whose comparison is `hmac.compare_digest`"
FOR_TESTS = "a simulated provider and checks for tests, with fake secrets"

LISTED = {
    "backends/keys/pkcs11.py: token_name not in module.sessions": "the name of a PKCS #11 token",
    "backends/memory/connect_sessions.py: each.token_hash != session.token_hash": LOOKUP,
    "backends/memory/connect_sessions.py: each.token_hash == token_hash": LOOKUP,
    "backends/memory/connect_sessions.py: stored.token_hash != change.link_hash": LOOKUP,
    "backends/memory/integrations.py: fingerprint in {stored.credential.presented_fingerprint, "
    "stored.credential.renewal_fingerprint, stored.credential.account_fingerprint}": LOOKUP,
    "backends/memory/pending.py: new.state_hash in closed": LOOKUP,
    "backends/memory/pending.py: new.state_hash not in tables.pending": LOOKUP,
    "backends/sqlalchemy/tables/integration_rows.py: _i.lease_token == bindparam('if_lease')": "the number of a lease, in SQL",
    "backends/sqlalchemy/tables/audit.py: _e.hash == bindparam('if_hash')": CHAIN,
    "backends/sqlalchemy/tables/connect_sessions.py: _s.token_hash == bindparam('if_hash')": LOOKUP,
    "backends/sqlalchemy/tables/pending.py: _a.state_hash == bindparam('if_hash')": LOOKUP,
    "clients/injector/masking.py: secret in text": "a search in what is masked, before anybody sees it",
    "clients/kubernetes_server.py: entered.reveal() != host": "the address of a cluster, as the tenant entered it",
    "domain/arguments.py: secret in secrets[:place]": OF_SECRETS,
    "domain/audit_check.py: digest != checkpoint.hash": CHAIN,
    "domain/audit_check.py: record.hash == chain_hash(record.event, seq=record.seq, previous_hash=record.previous_hash)": CHAIN,
    "domain/audit_check.py: record.previous_hash != self._hash": CHAIN,
    "domain/signed_note.py: key.id.hex() == digest": "the id of a public key",
    "domain/guides/names.py: name in secret_inputs(method)": "the name of an input",
    "domain/provider/provider.py: sign_in.token_url != method.token_url": "addresses of a provider's file",
    "flows/connect/grants.py: token not in (grant.access_token, grant.refresh_token)": OF_SECRETS,
    "flows/connect/tenant_applications.py: Secret(application.client_id) in application.client_secrets": OF_SECRETS,
    "flows/renew/narrowing.py: came != refresh_token": OF_SECRETS,
    "flows/renew/saving.py: await wiring.sealer.open_token(found, 'refresh') != attempt.refresh_token": OF_SECRETS,
    "flows/renew/saving.py: grant.refresh_token != attempt.refresh_token": OF_SECRETS,
    "flows/renew/saving.py: grant.refresh_token == attempt.refresh_token": OF_SECRETS,
    "protocol/backend_values.py: state.reveal() not in url": "a check of our own address, made before it is shown",
    "protocol/certificates.py: mark in parts[key_name].reveal()": "whether a private key says that it is encrypted",
    "protocol/client_secrets.py: secret == used": OF_SECRETS,
    "protocol/minting.py: secret.reveal() in text": "which of its own tokens a provider repeated in a member of its answer",
    "protocol/token_answer.py: token == text": "which of its own tokens a provider repeated in a member of its answer",
    "protocol/token_answer.py: token in text": "which of its own tokens a provider repeated in a member of its answer",
    "testing/": FOR_TESTS,
    "cloud_integrations_cli/actions/demo.py: secret.reveal().encode() in content": "the demonstration looks for its fake secrets in a file",
}


@pytest.mark.requirement("TST-11", "OAU-083")
def test_every_comparison_of_a_secret_takes_the_same_time_or_is_listed_with_its_reason(sources: list[Path], root: Path) -> None:
    found = {f"{_short(file, root)}: {shown}" for file in sources for shown in _comparisons(file.read_text(encoding="utf-8"))}
    listed = {place for place in found if place in LISTED or place.startswith("testing/")}
    assert found - listed == set(), "use hmac.compare_digest, or compare values of the class Secret and list the place with its reason"
    assert LISTED.keys() - {*found, "testing/"} == set(), "is no longer compared there"


@pytest.mark.requirement("TST-11", "TST-17")
@pytest.mark.parametrize(
    "line",
    [
        "if secret.reveal() == shown: ...",
        "if shown in (one.reveal().encode(), b''): ...",
        "allowed = row.fingerprint != expected",
        "match = commitment == derived()",
        "known = state_hash in open",
        "same = digest(shown) == kept",
    ],
)
def test_a_careless_comparison_is_found(line: str) -> None:
    assert list(_comparisons(line))


@pytest.mark.parametrize("line", ["kind == 'secret'", "token is None", "hmac.compare_digest(secret, shown)", "len(token) > 3", "a == b"])
def test_what_compares_no_secret_is_left_alone(line: str) -> None:
    assert list(_comparisons(line)) == []


def _short(file: Path, root: Path) -> str:
    parts = file.relative_to(root).parts
    return "/".join(parts[parts.index("src") + 1 :]).removeprefix("cloud_integrations/")


def _comparisons(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Compare) or not any(isinstance(op, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for op in node.ops):
            continue
        sides = [node.left, *node.comparators]
        # A constant is written in the source: it is no secret.
        if not any(isinstance(side, ast.Constant) for side in sides) and any(map(_is_secret, sides)):
            yield ast.unparse(node)


def _is_secret(side: ast.expr) -> bool:
    called = side.value if isinstance(side, ast.Await) else side
    called = called.func if isinstance(called, ast.Call) else called
    name = called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""
    if name == "Secret" or name.isupper():  # a constant is written in the source, and a `Secret` compares in constant time
        return False
    reveals = any(isinstance(node, ast.Attribute) and node.attr in REVEALS for node in ast.walk(side))
    return reveals or bool(set(name.lower().strip("_").split("_")) & SECRET_WORDS)
