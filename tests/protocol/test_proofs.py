"""JWTs that are signed with a tenant's key, against those that the providers' own libraries sign; and PEM as people paste it."""

from __future__ import annotations

import base64
import json
import sys
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import google.auth.jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from google.oauth2 import service_account
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from msal.oauth2cli import assertion as msal_assertion
from tests.protocol.keys import OLD, PASSPHRASE, block, certificate, certificate_pem, key, pem, public_pem, refused

from cloud_integrations.domain.provider.minting import Proof
from cloud_integrations.domain.secret import Secret
from cloud_integrations.errors import ConfigurationError, ValidationFailedError
from cloud_integrations.protocol.proofs import LONGEST_PEM, check_pem, find_value, load_private_key, make_proof, pem_fact

NOW = datetime(2026, 11, 28, 12, 0, 0, 900_000, tzinfo=UTC)
AT = int(NOW.timestamp())


def proof(**fields):
    return Proof.model_validate({"jwt": "{private_key}", "iss": "issuer", **fields})


def sign(values=None, /, **fields):
    return make_proof(proof(**fields), values=values or {"private_key": Secret(pem())}, now=NOW, jti="jti-1").reveal()


def read(token, kind="rsa", alg="RS256"):
    """Return header and claims of a token whose signature is right."""
    own = (ECKey if kind.startswith("ec") else RSAKey).import_key(public_pem(kind))
    found = jwt.decode(token, own, algorithms=[alg])
    return found.header, found.claims


def openssh():
    return key("ed25519").private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


def test_a_service_accounts_assertion_is_the_one_of_googles_library() -> None:
    info = {"client_email": "robot@project.iam.gserviceaccount.com", "private_key_id": "key-1", "private_key": pem()}
    scope = "https://www.googleapis.com/auth/cloud-platform"
    oracle = service_account.Credentials.from_service_account_info(
        {**info, "type": "service_account", "token_uri": "https://oauth2.googleapis.com/token"}, scopes=[scope]
    )._make_authorization_grant_assertion()
    _, theirs, _, _ = google.auth.jwt._unverified_decode(oracle)
    made = sign(
        {name: Secret(text) for name, text in info.items()},
        kid="{private_key_id}",
        iss="{client_email}",
        aud="https://oauth2.googleapis.com/token",
        claims={"scope": scope},
        lifetime=3600,
    )
    header, claims = read(made)
    assert header == google.auth.jwt.decode_header(oracle)
    assert claims.pop("jti") == "jti-1"
    assert {**claims, "iat": 0, "exp": claims["exp"] - claims["iat"]} == {**theirs, "iat": 0, "exp": theirs["exp"] - theirs["iat"]}
    # Theirs reads ours, too.
    assert google.auth.jwt.decode(made, public_pem(), verify=False) == {**claims, "jti": "jti-1"}


@pytest.mark.requirement("OAU-064")
def test_a_client_assertion_with_a_certificate_is_the_one_of_msal() -> None:
    url = "https://login.microsoftonline.com/tenant/oauth2/v2.0/token"
    digest = sha256(certificate().public_bytes(Encoding.DER)).hexdigest()
    creator = msal_assertion.JwtAssertionCreator(pem(), "PS256", sha256_thumbprint=digest)
    oracle = creator.create_normal_assertion(url, "client-1", "client-1", issued_at=AT, expires_at=AT + 60, assertion_id="jti-1").decode()
    their_header, their_claims = read(oracle, alg="PS256")
    made = sign(
        {"client_id": "client-1", "certificate": Secret(certificate_pem() + pem())},
        jwt="{certificate.key}",
        alg="PS256",
        headers={"x5t#S256": "{certificate.sha256}"},
        iss="{client_id}",
        sub="{client_id}",
        aud=url,
    )
    header, claims = read(made, alg="PS256")
    # RFC 7515 §4.1.8 and §2: base64url without padding, which MSAL for Python leaves.
    assert their_header["x5t#S256"].endswith("=")
    assert header == {**their_header, "x5t#S256": their_header["x5t#S256"].rstrip("=")}
    assert claims == their_claims


def test_the_key_of_a_github_app_signs_for_less_than_ten_minutes_from_a_minute_ago() -> None:
    header, claims = read(sign({"application": Secret(pem(form=OLD))}, jwt="application", lifetime=600, backdate=60))
    assert header == {"typ": "JWT", "alg": "RS256"}
    assert claims == {"iss": "issuer", "iat": AT - 60, "exp": AT + 540, "jti": "jti-1"}


def test_the_fingerprint_of_snowflake_is_that_of_its_documentation() -> None:
    # `openssl rsa -pubin -outform DER | openssl dgst -sha256 -binary | openssl enc -base64`, and SHA256: before it.
    der = key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    expected = base64.b64encode(sha256(der).digest()).decode()
    values = {"account": "ACME", "user": "ROBOT", "private_key": Secret(pem(passphrase=PASSPHRASE)), "passphrase": Secret(PASSPHRASE)}
    made = sign(
        values,
        passphrase="{passphrase}",
        iss="{account}.{user}.SHA256:{private_key.spki_sha256}",
        sub="{account}.{user}",
        lifetime=3600,
    )
    assert read(made)[1] == {"iss": f"ACME.ROBOT.SHA256:{expected}", "sub": "ACME.ROBOT", "iat": AT, "exp": AT + 3600, "jti": "jti-1"}
    assert pem_fact(Secret(pem()), "spki_sha256", name="private_key").reveal() == expected


@pytest.mark.parametrize(("alg", "kind"), [("RS256", "rsa"), ("PS256", "rsa"), ("ES256", "ec")])
def test_each_signature_can_be_checked_with_the_public_key(alg, kind) -> None:
    made = sign({"private_key": pem(kind)}, alg=alg, headers={"typ": "client-authentication+jwt"}, kid="key-1", aud="https://a.example/")
    header, claims = read(made, kind, alg)
    assert header == {"typ": "client-authentication+jwt", "alg": alg, "kid": "key-1"}
    assert claims["aud"] == "https://a.example/"
    assert all(type(claims[name]) is int for name in ("iat", "exp"))


@given(text=st.text(max_size=60))
def test_whatever_stands_in_a_claim_arrives_as_it_is(text) -> None:
    values = {"private_key": Secret(pem()), "name": Secret(text)}
    if text:
        assert read(sign(values, claims={"said": "a {name}"}))[1]["said"] == f"a {text}"
    else:
        with pytest.raises(ValidationFailedError, match="required"):
            sign(values, claims={"said": "a {name}"})


FORMS = {
    "as it is": lambda text: text,
    "with Windows newlines": lambda text: text.replace("\n", "\r\n"),
    "with the newlines of an old Mac": lambda text: text.replace("\n", "\r"),
    "with newlines written out": lambda text: text.replace("\n", "\\n"),
    "with Windows newlines written out": lambda text: text.replace("\n", "\\r\\n"),
    "on one line": lambda text: text.replace("\n", " "),
    "without newlines": lambda text: text.replace("\n", ""),
    "indented": lambda text: text.replace("\n", "\n    "),
    "after the text of a key store": lambda text: f"Bag Attributes\n    localKeyID: 01 00\nKey Attributes: <No Attributes>\n{text}",
    "before its certificate": lambda text: text + certificate_pem(),
    "after its certificate": lambda text: certificate_pem() + text,
    "among a chain of certificates": lambda text: certificate_pem("other rsa") + text + certificate_pem(),
    "after a beginning without an end": lambda text: f"-----BEGIN CERTIFICATE-----\nfake\n{text}",
}


@pytest.mark.parametrize("change", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("form", ["PKCS8", OLD])
@pytest.mark.parametrize("passphrase", [None, PASSPHRASE])
def test_a_private_key_is_found_as_people_paste_it(change, form, passphrase) -> None:
    if form == OLD and passphrase and change in {FORMS["on one line"], FORMS["without newlines"]}:
        # Its header cannot be told from its body any more.
        assert "cannot be opened" in refused(change(pem(form=form, passphrase=passphrase)), passphrase=Secret(PASSPHRASE))
        return
    text = Secret(change(pem(form=form, passphrase=passphrase)))
    found = load_private_key(text, name="private_key", passphrase=Secret(PASSPHRASE))
    assert found.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode() == pem()


@pytest.mark.parametrize("step", [1, -1])
def test_the_certificate_is_the_one_of_the_key_in_any_order(step) -> None:
    expected = base64.urlsafe_b64encode(sha256(certificate().public_bytes(Encoding.DER)).digest()).rstrip(b"=").decode()
    text = Secret("".join([certificate_pem("other rsa"), pem(), certificate_pem()][::step]))
    assert pem_fact(text, "sha256", name="certificate").reveal() == expected
    assert pem_fact(text, "key", name="certificate").reveal() == pem()
    assert pem_fact(Secret(certificate_pem() + certificate_pem("other rsa")), "sha256", name="certificate").reveal() == expected
    check_pem(text, name="certificate", certificate=True, alg="PS256")


def test_the_certificate_of_an_encrypted_key_is_found_with_the_passphrase() -> None:
    text = Secret(certificate_pem() + pem(passphrase=PASSPHRASE))
    assert find_value("certificate.sha256", {"certificate": text}, passphrase=Secret(PASSPHRASE))
    with pytest.raises(ValidationFailedError, match="is encrypted"):
        find_value("certificate.sha256", {"certificate": text})


NO_KEYS = {
    "nothing": (lambda: "", {}, "is no private key in PEM"),
    "an API key": (lambda: "fake-api-key-0123456789012345", {}, "is no private key in PEM"),
    "a JSON file": (lambda: '{"private_key": "fake"}', {}, "is no private key in PEM"),
    "a beginning": (lambda: "-----BEGIN PRIVATE KEY-----", {}, "is no private key in PEM"),
    "two labels": (lambda: block("PRIVATE KEY", "AAAA").replace("END", "END RSA"), {}, "is no private key in PEM"),
    "a request for a certificate": (lambda: block("CERTIFICATE REQUEST", "AAAA"), {}, "is no private key in PEM"),
    "a public key": (public_pem, {}, "is a public key"),
    "a certificate alone": (certificate_pem, {}, "is a certificate without its private key"),
    "two keys": (lambda: pem() + pem("other rsa"), {}, "holds more than one private key"),
    "one key twice": (lambda: pem() + pem(), {}, "holds more than one private key"),
    "encrypted": (lambda: pem(passphrase=PASSPHRASE), {}, "is encrypted; enter its passphrase too"),
    "encrypted, an empty passphrase": (
        lambda: pem(passphrase=PASSPHRASE),
        {"passphrase": Secret("")},
        "is encrypted; enter its passphrase",
    ),
    "encrypted, in the older form": (lambda: pem(form=OLD, passphrase=PASSPHRASE), {}, "is encrypted; enter its passphrase"),
    "a wrong passphrase": (lambda: pem(passphrase=PASSPHRASE), {"passphrase": Secret("fake-wrong")}, "cannot be opened with this"),
    "half a surrogate pair": (lambda: pem(passphrase=PASSPHRASE), {"passphrase": Secret("\ud800")}, "cannot be opened with this"),
    "a wrong passphrase, older": (lambda: pem(form=OLD, passphrase=PASSPHRASE), {"passphrase": Secret("fake-wrong")}, "cannot be opened"),
    "three bytes": (lambda: block("PRIVATE KEY", "AAAA"), {}, "is a private key that cannot be read"),
    "no base64": (lambda: block("PRIVATE KEY", "\ud800\u0660"), {}, "is a private key that cannot be read"),
    "a line is missing": (lambda: pem()[:900] + pem()[964:], {}, "is a private key that cannot be read"),
    "OpenSSH": (openssh, {}, "in the format of OpenSSH"),
    "RSA of 1024 bits": (lambda: pem("rsa 1024"), {"alg": "RS256"}, "must be an RSA private key of at least 2048 bits"),
    "EC for RS256": (lambda: pem("ec"), {"alg": "RS256"}, "must be an RSA private key"),
    "Ed25519 for PS256": (lambda: pem("ed25519"), {"alg": "PS256"}, "must be an RSA private key"),
    "DSA for PS256": (lambda: pem("dsa"), {"alg": "PS256"}, "must be an RSA private key"),
    "RSA for ES256": (pem, {"alg": "ES256"}, "must be a private key of the elliptic curve P-256"),
    "P-384 for ES256": (lambda: pem("ec p-384"), {"alg": "ES256"}, "must be a private key of the elliptic curve P-256"),
    "no certificate": (pem, {"certificate": True}, "holds no certificate"),
    "a stranger's certificate": (lambda: pem() + certificate_pem("other rsa"), {"certificate": True}, "does not belong to its private key"),
    "a certificate of EC": (lambda: pem() + certificate_pem("ec"), {"certificate": True}, "does not belong to its private key"),
    "a certificate of three bytes": (
        lambda: pem() + block("CERTIFICATE", "AAAA"),
        {"certificate": True},
        "certificate that cannot be read",
    ),
    "a long text": (lambda: pem() + "x" * LONGEST_PEM, {}, "is too long"),
    "a long key": (lambda: block("PRIVATE KEY", "A" * 9000), {}, "is too long"),
}


@pytest.mark.parametrize(("make", "options", "problem"), NO_KEYS.values(), ids=NO_KEYS)
def test_an_unusable_key_is_refused_by_name_and_not_repeated(make, options, problem) -> None:
    assert problem in refused(make(), **options)


def test_a_passphrase_is_ignored_if_the_key_is_not_encrypted() -> None:
    check_pem(Secret(pem()), name="private_key", passphrase=Secret("fake-needless"), alg="RS256")


def test_the_operators_key_is_a_setting_and_no_input_of_a_tenant() -> None:
    for values in ({}, {"application": Secret("fake-no-key")}, {"application": Secret(pem("ec"))}):
        with pytest.raises(ConfigurationError) as caught:
            sign({"other": "x", **values}, jwt="application")
        assert caught.value.setting == "the private key of the OAuth application"


@pytest.mark.parametrize(
    ("fields", "values", "name"),
    [
        ({}, {"other": "x"}, "private_key"),
        ({}, {"private_key": Secret("")}, "private_key"),
        ({"iss": "{client_id}"}, {"private_key": Secret(pem())}, "client_id"),
        ({"kid": "{private_key.md5}"}, {"private_key": Secret(pem())}, "private_key"),
        ({"alg": "ES256"}, {"private_key": Secret(pem())}, "private_key"),
    ],
)
def test_a_value_that_a_proof_lacks_is_named(fields, values, name) -> None:
    with pytest.raises(ValidationFailedError) as caught:
        sign(values, **fields)
    assert caught.value.field == f"credentials.{name}"


def test_importing_the_modules_loads_no_signing_library() -> None:
    import subprocess

    code = (
        "import sys, cloud_integrations, cloud_integrations.protocol.proofs, cloud_integrations.protocol.minting;"
        "print([name for name in ('joserfc.jwt', 'cryptography.x509', 'defusedxml') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_a_proof_is_not_shown(capsys) -> None:
    made = make_proof(proof(), values={"private_key": Secret(pem())}, now=NOW, jti="jti-1")
    assert "ey" not in repr(made)
    assert json.loads(base64.urlsafe_b64decode(made.reveal().split(".")[1] + "==")) == read(made.reveal())[1]
    assert timedelta(seconds=read(made.reveal())[1]["exp"] - AT) == timedelta(minutes=1)
