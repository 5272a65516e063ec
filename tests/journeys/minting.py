"""The steps of a mint, as a provider's file describes them."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from itertools import count
from urllib.parse import parse_qsl, quote

from cloud_integrations.domain.provider import fill
from cloud_integrations.protocol.minting import find_steps

from .answers import Body, answer, error, said_by_rule
from .credentials import expect, is_signed, lowered
from .samples import jwt, told

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
REFUSALS = {"dead", "reauthorize", "denied"}
LIFE = timedelta(hours=1)


def written_time(encoding, now, life):
    """Return the end of *life* as an answer writes it."""
    at = now + life
    seconds = int(at.timestamp())
    return {
        "seconds": int(life.total_seconds()),
        "epoch_s": seconds,
        "epoch_ms": seconds * 1000,
        "iso8601": at.isoformat().replace("+00:00", "Z"),
    }[encoding]


class Mint:
    """The token service of one provider."""

    def __init__(self, tenant, shower, checks, clock, operators_secret):
        self.tenant, self.shower, self.checks, self.clock = tenant, shower, checks, clock
        self.provider, self.method = tenant.provider, tenant.method
        self.made = {}
        """The values that the library made in the setup."""
        self.client = operators_secret
        self.steps = find_steps(self.method.mint, values=tenant.parts) if self.method.mint else ()
        self.gave = {}
        self.minted = []
        self.refused = 0
        self._numbers = count(1)
        self._next = 0

    @property
    def known(self):
        return {"product": "cloud-integrations", "tenant_tag": "acme", **self.made, **self.client, **self.tenant.parts, **self.gave}

    def answer(self, request):
        """Answer a request of a step; None: it is none."""
        found = [
            position
            for position, step in enumerate(self.steps)
            if (request.method, request.url) == (step.method, fill(step.url, {**self.tenant.filled, **self.known, **self.made}))
        ]
        found = [position for position in found if self._says(self.steps[position], request)]
        if not found:
            return None
        position = self._next if self._next in found else found[0]
        expect(position in {0, self._next}, f"step {position} of the mint comes before its turn")
        if not position:
            self.gave = {}
        step = self.steps[position]
        if not self._accepts(step, request):
            self.refused += 1
            self._next = 0
            return said_by_rule(self.provider, self.method.id, "mint", REFUSALS, form=step.reply.format) or error(400, "invalid_grant")
        self._next = (position + 1) % len(self.steps)
        return self._give(step, is_last=position == len(self.steps) - 1)

    def _says(self, step, request):
        """Say whether *request* names the action of *step*: some services have one address for all of them."""
        given = lowered(request.headers)
        sent = dict(parse_qsl(request.body.decode())) if step.body == "form" else {}
        named = {name: text for name, text in step.headers.items() if "action" in name.lower()}
        return all(given.get(name.lower()) == text for name, text in named.items()) and sent.get("Action") == step.fields.get("Action")

    def _read(self, step, request):
        kind = lowered(request.headers).get("content-type", "")
        if step.body == "none":
            expect(not request.body, "a body where there is none")
            return {}
        expect(kind == {"form": "application/x-www-form-urlencoded", "json": "application/json"}[step.body], f"a body of the type {kind}")
        if step.body == "json":
            return json.loads(request.body)
        pairs = parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True)
        expect(len(dict(pairs)) == len(pairs), "a parameter comes twice")
        return dict(pairs)

    def _accepts(self, step, request):
        """Say whether the service gives what *request* asks for; a request that is not of this form is a mistake of ours."""
        given, sent = lowered(request.headers), self._read(step, request)
        if not self._knows_client(step, given, sent):
            return False
        expect(sent.keys() <= step.fields.keys(), f"the fields {sorted(sent.keys() - step.fields.keys())}, which the file does not have")
        for name, text in step.headers.items():
            if not self.shower.holds(text, given.get(name.lower(), ""), self.known):
                return False
        if step.proof == "platform":
            options = {name: fill(text, self.tenant.filled) for name, text in step.options.items()}
            signed = is_signed(request, step.sign, parts=self.tenant.platform_parts, options=options, now=self.clock.now())
            expect(signed, "the operator's signature is wrong")
        elif step.proof is not None:
            token = given.get("authorization", "").removeprefix("Bearer ")
            if not (token == self.gave.get("access_token") if step.proof == "previous" else self.shower.proves(step.proof, token)):
                return False
        made = {f"{{{name}}}" for name in self.made}
        missing = [name for name, text in step.fields.items() if name not in sent and text not in made]
        expect(not missing, f"no {missing}, which the file has")
        return all(name in sent and self.shower.holds(text, sent[name], self.known) for name, text in step.fields.items())

    def _knows_client(self, step, given, sent):
        """Say whether the client is known, and take what says so out of *sent*."""
        if not step.client_auth:
            return True
        way = next(way for way in step.client_auth if self._has(way))
        client_id, secret = self.known["client_id"], self.known.get("client_secret", "")
        if way == "post":
            return (sent.pop("client_id", None), sent.pop("client_secret", None)) == (client_id, secret)
        if way.startswith("proof:"):
            expect(sent.pop("client_assertion_type", None) == ASSERTION, "another type of client assertion")
            return sent.pop("client_id", None) == client_id and self.shower.proves(
                way.removeprefix("proof:"), sent.pop("client_assertion", "")
            )
        pair = f"{client_id}:{secret}" if way == "basic_raw" else f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
        return given.get("authorization") == "Basic " + base64.b64encode(pair.encode()).decode()

    def _has(self, way):
        if not way.startswith("proof:"):
            return bool(self.known.get("client_secret"))
        proof = self.method.proofs[way.removeprefix("proof:")]
        return proof.by_platform or proof.key_name == "application" or bool(self.tenant.parts.get(proof.key_name))

    def _give(self, step, *, is_last):
        body, number = Body(), next(self._numbers)
        later = body.satisfy(step.success)
        gives = {name: f"fake-{name}-{number}" for name in step.reply.gives}
        if self.tenant.claims and is_last:
            gives[next(iter(gives))] = jwt({**self.tenant.claims, "jti": str(number)})
        for name, path in step.reply.gives.items():
            body.put(step.reply.path_of(path), gives[name])
        for each in self.provider.variables:
            if each.name in step.reply.map:
                said, text = told(each)
                body.put(step.reply.path_of(step.reply.map[each.name]), said)
                self.checks.known[each.name] = self.tenant.filled[each.name] = text
        expires = step.reply.expires
        body.put(step.reply.path_of(expires.path), written_time(expires.encoding, self.clock.now(), LIFE))
        if "requested_token_type" in step.fields:
            body.put(step.reply.path_of("issued_token_type"), step.fields["requested_token_type"])
        for path in later:
            body.put(path, "fake")
        self.gave = {**self.gave, **gives}
        if is_last:
            self.minted.append(gives)
            self.checks.live.append(gives)
        return answer(step.statuses[0] if step.statuses else 200, body, form=step.reply.format)
