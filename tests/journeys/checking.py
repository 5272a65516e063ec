"""Checks of credentials, and requests by which a key ends, as a provider's file describes them."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl, urlencode, urlsplit

from cloud_integrations.domain.provider import fill, fill_all, places

from .answers import Body, answer, said_by_rule
from .credentials import NONCE, REALM, expect, lowered


def without(url, names):
    """Return *url* without the query parameters *names*, and its query in one order."""
    parts = urlsplit(url)
    query = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] not in names]
    return parts._replace(query=urlencode(sorted(query))).geturl()


class Checks:
    """The API of one provider: answers checks, and ends keys."""

    def __init__(self, tenant, shower):
        self.tenant, self.shower = tenant, shower
        self.provider, self.method = tenant.provider, tenant.method
        self.live = []
        """The credentials that work: name of a part → text."""
        self.checked = []
        self.ended = []
        self.account = self.label = None
        self.known = {**tenant.filled, **tenant.parts}

    @property
    def check(self):
        """The check that the file has for these variables; None: it has none."""
        return next((one for one in self.tenant.checks if all(self.known.get(each) for each in (*one.needs, *places(one.url)))), None)

    def answer(self, request):
        """Answer a request of the API; None: it is none of these."""
        if self.method.present.clock and request.url == fill(self.method.present.clock, self.known):
            expect(not {*lowered(request.headers)} & {"authorization", "cookie"}, "the time is no secret")
            return answer(200, str(int(self.shower.clock.now().timestamp())).encode())
        facts = self.method.key_revocation
        if facts is not None and self._is_revocation(request, facts):
            return self._revoke(request, facts)
        check = self.check
        if check is None:
            return None
        shown = set(self.method.present.query)
        if request.method != check.method or without(request.url, shown) != without(fill(check.url, self.known), ()):
            return None
        given = lowered(request.headers)
        for name, text in {**check.headers, **self.method.headers.get("api", {})}.items():
            expect(given.get(name.lower()) == fill(text, self.known), f"a check without {name}")
        if check.fields:
            expect(json.loads(request.body) == fill_all(check.fields, self.known), "a check with other fields")
        else:
            expect(request.body.decode() == (check.body or ""), "a check with another body")
        parts = self._find(request, check.options)
        self.checked.append(parts is not None)
        if parts is None:
            return self._refuse(request, check)
        return self._accept(check, parts)

    def _find(self, request, options):
        # Options of a request may name variables.
        filled = {name: fill(text, self.known) for name, text in options.items()}
        return next((parts for parts in self.live if self.shower.shows(request, parts, options=filled)), None)

    def _refuse(self, request, check):
        if self.method.present.digest is not None and "authorization" not in lowered(request.headers):
            self.checked.pop()
            asks = f'Digest realm="{REALM}", nonce="{NONCE}", qop="auth", algorithm=SHA-256'
            return answer(401, headers={"www-authenticate": asks})
        # Where the file knows no certain answer, it is the usual one, which is no verdict.
        return self._refusal(check) or answer(401, Body(), form=check.format)

    @property
    def tells_dead(self):
        """Whether the file knows an answer that says that a credential is dead."""
        return self._refusal(self.check) is not None

    def _refusal(self, check):
        said = said_by_rule(self.provider, self.method.id, "verify", {"dead", "renew", "reauthorize"}, form=check.format)
        status = next((status for status, outcome in check.status_rules.items() if outcome == "dead"), None)
        return said or (None if status is None else answer(status, Body(), form=check.format))

    def _accept(self, check, parts):
        body, headers = Body(), {}
        later = body.satisfy(check.success)
        account = [self._find_or_put(path, body, headers, parts) for path in check.identity]
        labels = [self._find_or_put(path, body, headers, parts) for path in check.label]
        for path in later:
            body.put(path, "fake")
        self.account = "/".join(account) if account else None
        self.label = next((text for text in labels if text), None)
        has_body = body.value is not None and check.method != "HEAD" and check.statuses[0] != 204
        return answer(check.statuses[0], body if has_body else None, form=check.format, headers=headers)

    def _find_or_put(self, path, body, headers, parts):
        place, _, name = path.partition(":")
        if place == "json":
            return str(body.put(name, f"fake-{name.replace('*', '0').replace('.', '-')}"))
        if place == "header":
            return headers.setdefault(name.lower(), f"fake-{name.lower()}")
        if place == "claim":
            found = self.tenant.claims
            for step in name.split("."):
                found = found[step]
            return found
        return self.known.get(name) or parts.get(name) or ""

    # The end of a key

    def _is_revocation(self, request, facts):
        url = fill(facts.url, {**self.known, "identity": self.account or ""})
        if request.method != facts.method or without(request.url, self.method.present.query) != without(url, ()):
            return False
        return not facts.fields or dict(parse_qsl(request.body.decode())) == {
            name: fill(text, self.known) for name, text in facts.fields.items()
        }

    def _revoke(self, request, facts):
        given = lowered(request.headers)
        for name, text in facts.headers.items():
            expect(given.get(name.lower()) == text, f"a revocation without {name}")
        if facts.listed_in is None:
            parts = self._find(request, facts.options)
        else:
            listed = json.loads(request.body)[facts.listed_in]
            expect("authorization" not in given, "a key stands in the list alone")
            parts = next((parts for parts in self.live if [self.shower.values(parts)["value"]] == listed), None)
        expect(parts is not None, "the end of a key that nobody has")
        self.live.remove(parts)
        self.ended.append(parts)
        status = facts.statuses[0]
        return answer(status, None if status == 204 else Body(), form=facts.format)
