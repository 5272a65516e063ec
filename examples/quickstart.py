"""Connect a tenant by OAuth2, use its token, renew it, read the audit log, and remove it.  No account, no network, no file."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

from cloud_integrations import AesGcmCipher, Catalogue, IntegrationManager, LocalKeyring, MemoryStore, Settings
from cloud_integrations.testing import FixedClock, SimulatedProvider, SimulatedTransport

clock = FixedClock()
provider = SimulatedProvider(clock=clock)
manager = IntegrationManager(
    store=MemoryStore(clock),
    transport=SimulatedTransport(provider),
    keys=LocalKeyring([LocalKeyring.generate_key("quickstart")]),
    cipher=AesGcmCipher(),
    providers=Catalogue.of(*provider.catalogue_entries()),
    applications=[provider.application()],
    settings=Settings(callback_url="https://app.example.com/api/v1/oauth/callback"),
    clock=clock,
)
with manager:
    ada = manager.acting_as("ada")  # who does it, as the audit log names them

    # Your application sends the browser to `begun.url`; here `sign_in` is the person in front of it.
    begun = ada.begin_oauth("acme", "simulated", name="Acme's cloud")
    came_back = provider.sign_in(begun.url)
    connected = ada.complete_oauth(begun.context_id, parse_qsl(urlsplit(came_back).query), browser_token=begun.browser_token).integration
    print(f"connected    {connected.name}: {connected.status}, as {connected.account.label}")

    token = manager.credential("acme", "simulated")
    print(f"token        works until {token.expires_at:%H:%M}, scopes {' '.join(token.scopes)}, printed as {token.value!r}")

    clock.advance(timedelta(hours=1))
    renewed = manager.credential("acme", "simulated")
    print(f"an hour on   works until {renewed.expires_at:%H:%M}, refresh requests at the provider: {provider.refresh_count}")
    assert renewed.value != token.value

    removal = ada.delete("acme", connected.id)
    print(f"removed      refresh token {removal.refresh_token}, access token {removal.access_token}")
    assert not provider.is_alive(renewed.value)

    for record in reversed(ada.audit.list("acme")):
        print(f"audit {record.seq:>2}     {record.event.actor} {record.event.action}: {record.event.outcome}")
    report = manager.audit.verify("acme")
    print(f"chain        {report.checked} events, {'whole' if report.whole else 'broken'}")
    assert report.whole
