"""The servers notice when the library reads another file than theirs: what `test_every_provider.py` shows can fail."""

from __future__ import annotations

import pytest

from .host import Host
from .test_every_provider import CASES, lead

OTHER = {
    "no PKCE": ("gitlab-oauth2-page", {"pkce": "off"}),
    "PKCE where there is none": ("slack-oauth2_v2-page", {"pkce": "required"}),
    "another authorization page": ("gitlab-oauth2-page", {"authorize_url": "https://{host}/oauth/other"}),
    "another token endpoint": ("gitlab-oauth2-page", {"token_url": "https://{host}/oauth/other"}),
    "another host": ("heroku-oauth2-page", {"token_url": "https://elsewhere.example/oauth/token"}),
    "another client authentication": ("heroku-oauth2-page", {"client_auth": ("basic",)}),
    "another body": ("zendesk-oauth2-page", {"body": "form"}),
    "another scope": ("gitlab-oauth2-page", {"scopes.default": ("other",)}),
    "another separator": ("azure-oauth2-page", {"scopes.separator": ","}),
    "another member for the token": ("heroku-oauth2-page", {"reply.map": {"access_token": "other"}}),
    "another parameter of a revocation": ("gitlab-oauth2-page", {"revoke.param": "other"}),
    "another method of a revocation": ("github-oauth_app-page", {"revoke.method": "POST"}),
    "no revocation": ("gitlab-oauth2-page", {"revoke": {"manual_url": "https://{host}/-/user_settings/applications"}}),
    "another device endpoint": ("github-oauth_app-device", {"device.url": "https://{web_host}/login/other"}),
    "another header of a key": ("fastly-api_token", {"present.headers": {"Other-Key": "{token}"}}),
    "another signature": ("oracle_cloud-api_signing_key", {"present.options": {"key_id": "{user}/{tenancy}/{fingerprint}"}}),
    "another user of HTTP Basic": ("twilio-account_sid_token", {"present.basic.user": "other"}),
    "another audience of a proof": ("google_cloud-service_account", {"proofs.key.aud": "https://elsewhere.example/"}),
    "another lifetime of a proof": ("github-app_installation", {"proofs.app.backdate": "PT0S"}),
    "another field of a mint": ("aws-role", {"mint.0.fields.RoleSessionName": "other"}),
    "another address of a mint": ("ibm_cloud-api_key", {"mint.0.url": "https://iam.cloud.ibm.com/identity/other"}),
    "another end of a key": ("github-pat", {"revoke.key.listed_in": "other"}),
}


def other(provider, method, changes):
    """Return *provider* as a file with *changes* in *method* would describe it."""
    read = provider.model_dump(mode="json", by_alias=True, exclude_unset=True)
    described = next(each for each in read["methods"] if each["id"] == method.id)
    for path, value in changes.items():
        *names, last = path.split(".")
        here = described
        for name in names:
            here = here[int(name)] if name.isdigit() else here.setdefault(name, {})
        here[last] = value
    return type(provider).model_validate({**read, "active": True})


@pytest.mark.parametrize("name", OTHER)
async def test_what_is_sent_by_another_file_is_refused(name):
    case, changes = OTHER[name]
    provider, method, way = CASES[case]
    host = Host(provider, method, way, read=other(provider, method, changes))
    try:
        with pytest.raises(Exception) as caught:
            await lead(host)
    finally:
        await host.http.aclose()
        await host.manager.close()
    assert type(caught.value).__name__ in {"AssertionError", "WrongRequestError"}


async def test_the_same_file_read_again_is_not_refused():
    provider, method, way = CASES["gitlab-oauth2-page"]
    host = Host(provider, method, way, read=other(provider, method, {}))
    await lead(host)
    await host.http.aclose()
    await host.manager.close()
