"""What a tenant and an operator have: inputs, variables, an application and a credential at the provider, all of them fake."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from tests.protocol.keys import certificate_pem, pem, public_pem

from cloud_integrations import OAuthApplication, PlatformCredential, Secret
from cloud_integrations.domain.provider import places

from .answers import Body
from .samples import jwt, sample

CLIENT_ID = "fake-client-id"
CLIENT_SECRET = "fake-client-secret"
PASSPHRASE = "fake-passphrase"
SERVER = "https://server.acme.example"
PLATFORM_KINDS = {"application": "rsa", "platform": "rsa"}


@dataclass
class Tenant:
    """The inputs and variables of one method of one provider; `way` is the input that is chosen of a group, or how a person consents."""

    provider: object
    method: object
    way: str = ""
    inputs: dict = field(default_factory=dict)
    """What is entered."""
    parts: dict = field(default_factory=dict)
    """What is stored of it, by name."""
    keys: dict = field(default_factory=dict)
    """Name of a part → the kind of its private key; see `tests/protocol/keys.py`."""
    claims: dict = field(default_factory=dict)

    def __post_init__(self):
        self.variables = self._make_variables("input")
        self.operators = self._make_variables("application")
        known = {each.name: each.default for each in self.provider.variables if each.default is not None}
        self.filled = {**known, **self.variables, **self.operators}
        self.claims = self._make_claims()
        for each in self._entered():
            self._enter(each, seed=0)

    def _make_variables(self, source):
        made = {}
        used = self._used_variables()
        for each in self.provider.variables:
            narrowed = [self.method.variables[each.name]] if each.name in self.method.variables else []
            fits = each.default is not None and not narrowed
            if each.source == source and not fits and (each.required or narrowed or each.name in used or source == "application"):
                made[each.name] = each.choices[0] if each.choices else sample(*[each.pattern, *narrowed])
        return made

    def _used_variables(self):
        """Return the names that the method's requests cannot do without, though other methods can."""
        method = self.method
        sent = [*method.authorize_params.values(), *method.token_params.values(), *method.refresh_params.values()]
        urls = [method.authorize_url, method.token_url, method.refresh_url, method.par_url, *(step.url for step in method.mint)]
        named = {name for text in [*sent, *urls] for name in places(text or "")}
        return {*named, *method.present.names(), *(name for check in self.checks[:1] for name in (*check.needs, *places(check.url)))}

    def _make_claims(self):
        paths = [path for check in self.checks for path in (*check.identity, *check.label) if path.startswith("claim:")]
        made: dict = {}
        for path in [*paths, *(["claim:" + self.method.installation.claim] if self.claims_installation else [])]:
            here, *names = made, *path.removeprefix("claim:").split(".")
            for name in names[:-1]:
                here = here.setdefault(name, {})
            here[names[-1]] = f"fake-{names[-1]}"
        if self.claims_installation:
            made[self.method.installation.claim] = self.installation_id
        return made

    @property
    def checks(self):
        return [check for check in self.provider.verifications if not check.for_methods or self.method.id in check.for_methods]

    @property
    def claims_installation(self):
        return self.method.installation is not None and self.method.installation.claim is not None

    @property
    def installation_id(self):
        return sample(*next(each.patterns[:1] for each in self.method.inputs if each.name == self.method.installation.input))

    def _entered(self):
        for each in self.method.entered_inputs:
            if each.one_of is not None:
                group = [other.name for other in self.method.entered_inputs if other.one_of == each.one_of]
                if each.name == (self.way if self.way in group else group[0]):
                    yield each
            elif each.required or each.form == "pem":
                yield each

    def _enter(self, each, *, seed):
        if each.form == "json":
            document = self._document(each, seed)
            self.inputs[each.name] = json.dumps(document)
            return
        text = {"pem": self._pem, "origin": self._origin}.get(each.form, self._text)(each, seed)
        self.inputs[each.name] = self.parts[each.name] = text

    def _document(self, each, seed):
        document = Body()
        for path, value in each.must.items():
            document.put(path, value)
        for name, path in each.parts.items():
            if name in self._signing:
                self.keys[name] = "other rsa" if seed else "rsa"
            locked = {"passphrase": PASSPHRASE} if self._passphrases.get(name) in each.parts else {}
            text = PASSPHRASE if name in self._passphrases.values() else f"fake-{name}@acme.example"
            self.parts[name] = pem(self.keys[name], **locked) if name in self._signing else text
            document.put(path, self.parts[name])
        return document.value

    def _pem(self, each, seed):
        kind = "ec" if any(proof.key_name == each.name and proof.alg == "ES256" for proof in self.method.proofs.values()) else "rsa"
        kind = "other rsa" if seed else kind
        signs = each.name in self._signing
        certified = any(proof.jwt == f"{{{each.name}.key}}" for proof in self.method.proofs.values())
        shown = places(self.method.present.certificate or "")
        if certified or (shown and each.name == shown[0]) or not (signs or each.secret):
            self.keys[each.name] = kind
            # The authority of a server has no key here.
            return certificate_pem(kind) + (pem(kind) if certified or len(shown) == 1 else "")
        self.keys[each.name] = kind
        return pem(kind)

    def _origin(self, each, seed):
        return SERVER

    def _text(self, each, seed):
        main = next((other.name for other in self.method.inputs if other.secret), None)
        if self.claims and each.name == main and not self.method.mint:
            return jwt({**self.claims, "seed": seed})
        text = sample(*each.patterns[:1], seed=seed, name=each.name)
        return text.upper() if "upper" in each.normalise else text.lower() if "lower" in each.normalise else text

    @property
    def _signing(self):
        names = {proof.key_name for proof in self.method.proofs.values()}
        return names | ({"private_key"} if self.method.present.sign == "http_signature" else set())

    @property
    def _passphrases(self):
        """Name of a private key → the name of what opens it."""
        return {proof.key_name: proof.passphrase_name for proof in self.method.proofs.values() if proof.passphrase_name}

    def public_key(self, name):
        return public_pem(self.keys.get(name) or PLATFORM_KINDS[name])

    @property
    def wrong_inputs(self):
        """What is entered with another secret, or, where there is none, another value."""
        entered = list(self._entered())
        trust = places(self.method.present.trust or "")
        choice = [each for each in entered if each.name not in trust and each.form != "origin"]
        # A certificate goes with its own key.
        pair = [each for each in choice if each.name in places(self.method.present.certificate or "")]
        other = Tenant(provider=self.provider, method=self.method, way=self.way)
        for wrong in pair or [next((each for each in choice if each.secret), choice[0])]:
            other._enter(wrong, seed=1)
            assert other.inputs[wrong.name] != self.inputs[wrong.name], wrong.name
        return other.inputs

    @property
    def application(self):
        """The operator's application; None: the method needs none."""
        if self.method.kind not in {"code", "device", "installation"}:
            return None
        return OAuthApplication(
            provider=self.provider.id,
            client_id=CLIENT_ID,
            client_secret=None if self.method.client_auth == ("none",) else CLIENT_SECRET,
            method_id=self.method.id,
            variables=self.operators,
        )

    @property
    def platform_parts(self):
        if self.method.uses_application_key:
            return {"private_key": pem()}
        names = {
            "aws4": ("access_key_id", "secret_access_key"),
            "acs3": ("access_key_id", "access_key_secret"),
            "sdk_hmac": ("access_key", "secret_key"),
        }
        return {name: f"fake-platform-{name}" for step in self.method.mint if step.sign for name in names[step.sign]}

    @property
    def platform(self):
        """The operator's own credential at the provider; None: the method needs none."""
        if not self.method.uses_platform:
            return None
        parts = {name: Secret(text) for name, text in self.platform_parts.items()}
        return {self.provider.id: PlatformCredential(parts=parts, principal="fake-principal")}
