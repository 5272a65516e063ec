"""A provider that trusts our own issuer, for the flows' tests."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from urllib.parse import parse_qs

from joserfc import jwt
from joserfc.jwk import KeySet
from tests.protocol.keys import pem

from cloud_integrations import Issuer, LocalSigningKeys
from cloud_integrations.domain.provider import Input, Method, MustFail, Provider, Step
from cloud_integrations.domain.provider.minting import Proof
from cloud_integrations.protocol.http import HttpResponse

from .conftest import ACME, ALICE
from .transports import StandIn

URL = "https://app.example/identity"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS = "urn:ietf:params:oauth:token-type:access_token"
JWT = "urn:ietf:params:oauth:token-type:jwt"
LIFE = timedelta(hours=1)


class Keys:
    """Signing keys whose service can be away."""

    def __init__(self, *names, waits=False):
        self.keys = LocalSigningKeys([pem(name) for name in names or ("rsa",)])
        self.waits, self.error, self.public_error, self.threads = waits, None, None, set()

    def public_keys(self):
        if self.public_error is not None:
            raise self.public_error
        self.threads.add(threading.get_ident())
        return self.keys.public_keys()

    def sign(self, key_id, message, /):
        if self.error is not None:
            raise self.error
        return self.keys.sign(key_id, message)


class Cloud(StandIn):
    """A provider that exchanges tokens of our issuer, which it verifies by the issuer's key set."""

    def __init__(self, world):
        self.world, self.keys, self.asked, self.claims, self.issued = world, Keys(), [], [], 0
        self.answer = None
        self.tried = []
        """The subjects that were refused."""
        self.trusted = {"tenant:acme", "tenant:globex", f"tenant:{'a' * 120}"}
        """The subjects that the provider trusts; None: any."""
        world.transport = self
        world.door = self.open()

    def open(self, **changes):
        parts = {"issuer": Issuer(url=URL, keys=self.keys), "providers": [self.provider()], "applications": [], **changes}
        return self.world.open(**parts)

    def provider(self, *, client_auth=(), longest=127):
        url = self.world.provider.base_url
        fields = {
            "grant_type": EXCHANGE,
            "audience": "{audience}",
            "subject_token": "{proof:us}",
            "subject_token_type": JWT,
            "requested_token_type": ACCESS,
        }
        if client_auth:
            fields = {"grant_type": "client_credentials"}
        us = Proof(
            jwt="platform",
            iss="{issuer}",
            sub="tenant:{tenant_id}",
            aud="{audience}",
            lifetime=timedelta(seconds=60 if client_auth else 300),
            longest_sub=longest,
        )
        inputs = (Input(name="audience", secret=False),)
        if client_auth:
            inputs += (Input(name="client_id", secret=False), Input(name="client_secret", required=False))
        return Provider(
            id="cloud",
            name="Cloud",
            methods=(
                Method(
                    id="federated",
                    kind="key",
                    application="owner",
                    inputs=inputs,
                    proofs={"us": us},
                    mint=(Step(url=f"{url}/exchange", fields=fields, client_auth=client_auth),),
                    must_fail=(MustFail(replacing="subject", mend="let the trust compare the whole subject"),),
                ),
            ),
            loopback=True,
        )

    def respond(self, request):
        asked = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        self.asked.append(asked)
        if self.answer is not None:
            return self.answer
        token = asked.get("subject_token") or asked["client_assertion"]
        keys = KeySet.import_key_set({"keys": [key.as_jwk() for key in self.keys.public_keys()]})
        decoded = jwt.decode(token, keys, algorithms=["RS256"])
        if self.trusted is not None and decoded.claims["sub"] not in self.trusted:
            self.asked.pop()
            self.tried.append(decoded.claims["sub"])
            return HttpResponse(status=400, body=b'{"error": "invalid_grant"}')
        self.claims.append({**decoded.claims, "header": decoded.header})
        self.issued += 1
        body = {
            "access_token": f"fake-token-{self.issued}",
            "token_type": "Bearer",
            "issued_token_type": ACCESS,
            "expires_in": LIFE.total_seconds(),
        }
        return HttpResponse(status=200, body=json.dumps(body).encode())


async def add(world, tenant=ACME, **more):
    inputs = {"audience": "https://cloud.example/pool", **more.pop("inputs", {})}
    return await world.door.add(tenant, "cloud", name="Our cloud", inputs=inputs, actor=ALICE, **more)
