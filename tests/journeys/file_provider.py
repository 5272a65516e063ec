"""One provider's servers, as the provider's own file describes them; anything that the file does not describe is a mistake."""

from __future__ import annotations

from cloud_integrations.protocol.http import HttpResponse

from .authorizing import AuthorizationServer
from .checking import Checks
from .credentials import Shower, expect
from .minting import Mint
from .tenants import CLIENT_ID, CLIENT_SECRET


class FileProvider:
    """A transport that answers the requests of one method, and refuses all others; `problems` has what was wrong."""

    def __init__(self, tenant, clock, *, issuer, redirect_uri):
        self.tenant, self.clock = tenant, clock
        self.problems = []
        self.requests = []
        self.shower = Shower(tenant, clock, issuer)
        self.checks = Checks(tenant, self.shower)
        operators = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET} if tenant.method.kind == "installation" else {}
        installation = tenant.method.installation
        if installation is not None:
            operators[installation.input] = tenant.installation_id
            self.checks.known[installation.input] = tenant.installation_id
        self.mint = Mint(tenant, self.shower, self.checks, clock, operators)
        self.authorization = AuthorizationServer(tenant, self.checks, clock, redirect_uri)

    def allow_key(self):
        """Know the key that the tenant has."""
        if not self.tenant.method.mint:
            self.checks.live.append(dict(self.tenant.parts))

    async def send(self, request, *, deadline):
        self.requests.append(request)
        try:
            self._keep_secrets_out(request)
            answers = (part.answer(request) for part in (self.authorization, self.mint, self.checks))
            found = next((each for each in answers if each is not None), None)
            expect(found is not None, "no request of the file")
        except Exception as error:  # noqa: BLE001  # what a stand-in cannot read is no request of the file, either
            self.problems.append(f"{request.method} {request.url}: {error!r}")
            return HttpResponse(status=400, body=b"{}")
        return found

    def _keep_secrets_out(self, request):
        """Refuse a URL with a secret in it, which would be written into logs; only the file may ask for that."""
        secrets = {each.name for each in self.tenant.method.inputs if each.secret}
        if not self.tenant.method.present.query:
            shown = [
                name
                for name in secrets & self.tenant.parts.keys()
                if len(self.tenant.parts[name]) > 7 and self.tenant.parts[name] in request.url
            ]
            expect(not shown, f"{shown} in the URL")

    def pass_time(self, time):
        """Let *time* pass, in which all tokens end."""
        self.clock.advance(time)
        self.checks.live.clear()

    def end_all(self):
        """End all that was given, as an owner does on the provider's page."""
        self.checks.live.clear()
        self.authorization.refreshing.clear()

    @property
    def account(self):
        """Whose access it is, as it should be shown."""
        installation = self.tenant.method.installation
        if installation is not None and installation.listing is not None:
            name = "" if installation.listing.label is None else "fake-label ("
            return {"id": "fake-account", "label": f"{name}installation {self.tenant.installation_id}{')' if name else ''}"}
        return {"id": self.checks.account, "label": self.checks.label}

    async def close(self):
        return None
