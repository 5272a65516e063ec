"""A pushed authorization request endpoint (RFC 9126) before the simulated provider."""

from __future__ import annotations

from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from .answers import said
from .transports import Before

SHORT = 60


class Pushes(Before):
    """Keeps what is pushed, and answers as *answer* says; whatever else comes goes on to the provider."""

    def __init__(self, world, /):
        super().__init__(world)
        self.requests = []
        self.forms = []
        self.answer = None
        """The answer to the next pushes, an error to raise, or a function of the request; None: a good one."""

    def find(self, request):
        if not request.url.endswith("/par"):
            return None
        self.requests.append(request)
        self.forms.append(dict(parse_qsl(request.body.decode(), keep_blank_values=True)))
        answer = self.answer(request) if callable(self.answer) else self.answer
        if isinstance(answer, Exception):
            raise answer
        return answer or said({"request_uri": f"urn:example:fake-reference-{len(self.forms)}", "expires_in": SHORT}, 201)

    def full_url(self, begun, /):
        """The request that the provider has for the URL that a browser opens."""
        parts = urlsplit(begun.url)
        place = int(parse_qs(parts.query)["request_uri"][0].rpartition("-")[2])
        form = {name: value for name, value in self.forms[place - 1].items() if name != "client_secret"}
        return parts._replace(query=urlencode(form)).geturl()


def open_with_pushes(world, /, **changes):
    """Return the endpoint of a world whose door now pushes authorization requests."""
    pushes = Pushes(world)
    world.transport = pushes
    method = world.entries[0].methods[0].model_copy(update={"par_url": f"{world.provider.base_url}/par", **changes})
    world.entries[0] = world.entries[0].model_copy(update={"methods": (method,)})
    world.door = world.open()
    return pushes
