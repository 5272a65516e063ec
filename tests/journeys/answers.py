"""Answers of the shape that a provider's file describes: successes, and refusals that its rules know."""

from __future__ import annotations

import json
from xml.sax.saxutils import escape

from cloud_integrations.domain.json_paths import find_all
from cloud_integrations.protocol.http import HttpResponse

from .samples import found_by


class Body:
    """A body, which is written value by value at dotted paths."""

    def __init__(self):
        self.value = None

    def put(self, path, value):
        """Write *value* at *path*, unless something is there; return what is there then."""
        found = [] if self.value is None else find_all(self.value, path)
        if found:
            return found[0]
        names = path.split(".")
        self.value = self.value if self.value is not None else _container(names[0])
        here = self.value
        for name, following in zip(names, [*names[1:], None], strict=True):
            inner = value if following is None else _container(following)
            here = _enter(here, name, inner)
        return value

    def satisfy(self, tests):
        """Make all of *tests* (`Predicate`) hold."""
        later = []
        for test in tests:
            if test.equals is not None:
                self.put(test.path, test.equals)
            elif test.matches is not None:
                self.put(test.path, found_by(test.matches))
            elif test.exists or test.not_null or test.absent is False:
                later.append(test.path)
            elif "equals" in test.model_fields_set:
                self.put(test.path, None)
        return later

    def write(self, form):
        """Return the bytes of it in JSON or XML."""
        if form == "xml":
            return _xml(self.value or {"Answer": {}}).encode()
        return json.dumps({} if self.value is None else self.value).encode()


def answer(status, body=None, *, form="json", headers=None):
    content = body if isinstance(body, bytes) else b"" if body is None else body.write(form)
    named = {"content-type": "application/json" if form == "json" else "text/xml"} if content else {}
    return HttpResponse(status=status, headers={**named, **(headers or {})}, body=content)


def error(status, code, **more):
    return HttpResponse(status=status, headers={"content-type": "application/json"}, body=json.dumps({"error": code, **more}).encode())


def said_by_rule(provider, method_id, at, classes, *, form="json"):
    """Return an answer that the first rule with one of *classes* fits, and no rule before it; None: there is no such rule."""
    for rule in provider.error_rules:
        if rule.at != at or rule.class_ not in classes or (rule.for_methods and method_id not in rule.for_methods):
            continue
        body = Body()
        if rule.path is not None:
            body.put(rule.path, rule.equals if rule.matches is None else found_by(rule.matches))
        status = rule.status or (401 if at == "verify" else 400)
        first = next(
            (each for each in provider.error_rules if each.at == at and each.fits(method_id=method_id, status=status, body=body.value)),
            None,
        )
        if first is not None and first.class_ in classes:
            return answer(status, body, form=form)
    return None


def _container(name):
    return [] if name.isdigit() or name == "*" else {}


def _enter(here, name, inner):
    if isinstance(here, dict):
        return here.setdefault(name, inner)
    position = 0 if name == "*" else int(name)
    while len(here) < position:
        here.append(None)
    if len(here) == position:
        here.append(inner)
    elif here[position] is None:
        here[position] = inner
    return here[position]


def _xml(value):
    if isinstance(value, dict):
        return "".join(_element(name, inner) for name, inner in value.items())
    return escape(str(value))


def _element(name, value):
    if isinstance(value, list):
        return "".join(_element(name, inner) for inner in value)
    return f"<{name}>{_xml(value)}</{name}>"
