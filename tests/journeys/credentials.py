"""How a request shows a credential, compared with what the provider's file says."""

from __future__ import annotations

import base64
import hashlib
import re
from urllib.parse import parse_qsl, urlsplit
from urllib.request import parse_http_list, parse_keqv_list
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from cloud_integrations.domain.provider import fill, places
from cloud_integrations.domain.secret import Secret
from cloud_integrations.domain.signing import Unsigned
from cloud_integrations.protocol.signing import require_signer

REALM = "acme"
NONCE = "fake-server-nonce"


class WrongRequestError(Exception):
    """A request is not what the provider's file says."""


def expect(holds, problem):
    if not holds:
        raise WrongRequestError(problem)


def lowered(headers):
    return {name.lower(): value for name, value in headers.items()}


def nonce_of(headers):
    """Return the random bytes of a signature."""
    if "x-acs-signature-nonce" in headers:
        return bytes.fromhex(headers["x-acs-signature-nonce"])
    found = re.search(r"nonce=([0-9a-f-]+);", headers.get("authorization", ""))
    return UUID(found[1]).bytes if found else bytes(16)


def is_signed(request, name, *, parts, options, now):
    """Say whether the request has the signature that *parts* make at *now*."""
    given = lowered(request.headers)
    unsigned = {header: value for header, value in given.items() if header != "authorization"}
    again = require_signer(name).sign(
        Unsigned(method=request.method, url=request.url, headers=unsigned, body=request.body),
        parts={part: Secret(text) for part, text in parts.items()},
        options=options,
        now=now,
        nonce=nonce_of(given),
    )
    wanted = lowered(again.headers)
    return again.url == request.url and all(given.get(each) == wanted[each] for each in wanted)


class Shower:
    """Knows how a method shows a credential."""

    def __init__(self, tenant, clock, issuer):
        self.tenant, self.clock, self.issuer = tenant, clock, issuer
        self.method = tenant.method
        self.refused_subjects = []

    def values(self, parts):
        """Return what the templates of `present` may name, for the credential *parts*."""
        main = next((each.name for each in self.method.inputs if each.secret and each.name in parts), None)
        minted = next(iter(parts)) if self.method.mint or self.method.kind != "key" else main
        value = {} if minted is None else {"value": parts[minted]}
        return {**self.tenant.filled, **self.tenant.parts, **parts, **value}

    def headers(self, parts):
        """Return the headers that show *parts*, but for proofs."""
        present, known = self.method.present, self.values(parts)
        made = {
            name: fill(text, known)
            for name, text in present.headers.items()
            if not any(place.startswith("proof:") for place in places(text))
        }
        if present.basic is not None:
            pair = f"{fill(present.basic.user, known)}:{fill(present.basic.password, known)}"
            made["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        return made

    def query(self, parts):
        return {name: fill(text, self.values(parts)) for name, text in self.method.present.query.items()}

    def shows(self, request, parts, *, options):
        """Say whether *request* shows the credential *parts*."""
        return (
            self._shows_text(request, parts)
            and self._shows_certificates(request, parts)
            and self._is_authenticated(request, parts, options=options)
        )

    def _shows_text(self, request, parts):
        given = lowered(request.headers)
        shown = all(given.get(name.lower()) == value for name, value in self.headers(parts).items())
        shown &= self.query(parts).items() <= dict(parse_qsl(urlsplit(request.url).query)).items()
        proofs = {name: text for name, text in self.method.present.headers.items() if "{proof:" in text}
        return shown and all(self.holds(text, given.get(name.lower(), "")) for name, text in proofs.items())

    def _shows_certificates(self, request, parts):
        present, known = self.method.present, self.values(parts)
        if present.certificate is not None:
            shown = "" if request.certificate is None else request.certificate.reveal()
            if any(line not in shown for line in fill(present.certificate, known).split()):
                return False
        if present.trust is None:
            return request.trust is None
        return request.trust is not None and request.trust.reveal().strip() == fill(present.trust, known).strip()

    def _is_authenticated(self, request, parts, *, options):
        present, known = self.method.present, self.values(parts)
        if present.digest is not None:
            return self._is_digest(request, fill(present.digest.user, known), fill(present.digest.password, known))
        if present.sign is None:
            return True
        filled = {name: fill(text, known) for name, text in present.options.items()}
        signing = {name: text for name, text in known.items() if name in parts or name in self.tenant.parts}
        return is_signed(request, present.sign, parts=signing, options={**filled, **options}, now=self.clock.now())

    def _is_digest(self, request, user, password):
        scheme, _, rest = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Digest":
            return False
        shown = parse_keqv_list(parse_http_list(rest))
        parts = urlsplit(request.url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")

        def hashed(text):
            return hashlib.sha256(text.encode()).hexdigest()

        last = f"{NONCE}:{shown['nc']}:{shown['cnonce']}:auth:{hashed(f'{request.method}:{target}')}"
        wanted = hashed(f"{hashed(f'{user}:{REALM}:{password}')}:{last}")
        return (shown["response"], shown["uri"], shown["username"]) == (wanted, target, user)

    # Templates and proofs

    def holds(self, template, actual, known=None):
        """Say whether *actual* is *template*, filled; a name without a value stands for any text, and proofs are verified."""
        if not isinstance(template, str):
            return self._holds_inside(template, actual, known)
        if not isinstance(actual, str):
            return False
        values = {**self.tenant.filled, **self.tenant.parts, **(known or {})}
        pattern, proofs, last = "", [], 0
        for found in re.finditer(r"\{((?:proof:)?[a-z0-9_]+(?:\.[a-z0-9_]+)?)\}", template):
            name = found[1]
            pattern += re.escape(template[last : found.start()])
            last = found.end()
            value = self._fact(name) if "." in name else values.get(name)
            if name.startswith("proof:"):
                proofs.append(name.removeprefix("proof:"))
            pattern += "(.+)" if name.startswith("proof:") else "(?:.+)" if value is None else re.escape(value)
        match = re.fullmatch(pattern + re.escape(template[last:]), actual, re.DOTALL)
        return match is not None and all(self.proves(name, text) for name, text in zip(proofs, match.groups(), strict=True))

    def _holds_inside(self, template, actual, known):
        if isinstance(template, dict):
            same = isinstance(actual, dict) and template.keys() == actual.keys()
            return same and all(self.holds(inner, actual[name], known) for name, inner in template.items())
        if isinstance(template, list):
            same = isinstance(actual, list) and len(template) == len(actual)
            return same and all(self.holds(inner, other, known) for inner, other in zip(template, actual, strict=True))
        return template == actual

    def _fact(self, name):
        """Return something that is read from a PEM text, computed here again."""
        part, _, fact = name.partition(".")
        text = self.tenant.parts[part].encode()
        if fact == "sha256":
            return base64.urlsafe_b64encode(x509.load_pem_x509_certificate(text).fingerprint(SHA256())).rstrip(b"=").decode()
        public = load_pem_private_key(text, None).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return base64.b64encode(hashlib.sha256(public).digest()).decode()

    def proves(self, name, token):
        """Say whether *token* is the proof *name*; a proof of another subject or another key is none."""
        proof = self.method.proofs[name]
        now = int(self.clock.now().timestamp())
        if proof.by_platform:
            keys = KeySet.import_key_set({"keys": [key.as_jwk() for key in self.issuer.keys.public_keys()]})
            decoded = jwt.decode(token, keys, algorithms=["RS256", "ES256"])
            wanted = {"iss": self.issuer.url, "aud": fill(proof.aud, {**self.tenant.filled, **self.tenant.parts})}
            if decoded.claims["sub"] != "tenant:acme":
                self.refused_subjects.append(decoded.claims["sub"])
                return False
        else:
            kind = ECKey if proof.alg == "ES256" else RSAKey
            try:
                decoded = jwt.decode(token, kind.import_key(self.tenant.public_key(proof.key_name)), algorithms=[proof.alg])
            except Exception:  # noqa: BLE001  # whatever joserfc says of a wrong signature
                return False
            wanted = {"iss": proof.iss, "sub": proof.sub, "aud": proof.aud, **proof.claims}
            wanted = {claim: self._filled(text) for claim, text in wanted.items() if text is not None}
            header = {"typ": "JWT", **({} if proof.kid is None else {"kid": proof.kid}), **proof.headers}
            for member, text in header.items():
                expect(decoded.header.get(member) == self._filled(text), f"the proof {name} has another {member}")
        expect(decoded.header["alg"] == (decoded.header["alg"] if proof.by_platform else proof.alg), f"the proof {name} has another alg")
        claims = dict(decoded.claims)
        issued, ends = claims.pop("iat"), claims.pop("exp")
        claims.pop("sub") if proof.by_platform else None
        expect(claims.pop("jti", None), f"the proof {name} has no jti")
        expect(claims == wanted, f"the proof {name} says {sorted(claims)}, not {sorted(wanted)}")
        expect(issued == now - proof.backdate.total_seconds(), f"the proof {name} was not made now")
        expect(ends - issued == proof.lifetime.total_seconds(), f"the proof {name} lives another time")
        return True

    def _filled(self, text):
        known = {**self.tenant.filled, **self.tenant.parts, "client_id": self.tenant.parts.get("client_id", "fake-client-id")}
        return fill(text, known | {place: self._fact(place) for place in places(text) if "." in place})
