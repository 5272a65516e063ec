"""The command that deletes an integration."""

from __future__ import annotations

from cloud_integrations import AuthType, Integration, MethodSummary, Removal, RevocationOutcome
from cloud_integrations_cli import wiring
from cloud_integrations_cli.prompts import confirm
from cloud_integrations_cli.render import Screen, moment
from cloud_integrations_cli.settings import Configuration

from .integrations import find_offered, is_set_up


def delete(screen: Screen, configuration: Configuration, tenant: str, which: str, /, *, slot: str, revoke_key: bool, yes: bool) -> None:
    """Delete an integration, and show what became of each token."""
    with wiring.open_manager(configuration) as manager:
        integration = manager.get_integration(tenant, which, slot=slot)
        method = find_offered(manager, integration.provider_id, integration.method_id)
        what = _what_else(integration, method, revoke_key=revoke_key)
        confirm(f"Delete {integration.name} ({integration.id}) of {tenant}{what}", yes=yes)
        removal = manager.delete(tenant, integration.id, revoke_key=revoke_key)
    if screen.as_json:
        screen.json({"success": True, **removal.as_json()})
        return
    screen.note("deleted; the local credential is gone")
    if is_set_up(method):
        screen.facts(
            {
                "At the provider": "what the tenant has set up stays until it is removed there",
                "Keys made from it": f"work until {moment(integration.expires_at, unknown='they end')}",
                "Remove it at": removal.manual_url or "–",
            }
        )
        return
    withdrawn = {"Withdraw it at": removal.manual_url} if removal.manual_url else {}
    screen.facts(_outcomes(integration, removal) | withdrawn)
    _explain(screen, removal)


def _what_else(integration: Integration, method: MethodSummary | None, *, revoke_key: bool) -> str:
    """Return the end of the question: what happens at the provider."""
    if is_set_up(method):
        return "? What the tenant has set up at the provider stays there"
    if integration.auth_type is AuthType.OAUTH2:
        return " and revoke its tokens?"
    if not revoke_key:
        return "? Its key goes on working at the provider"
    if method is None or not method.revokes_key:
        return "? Its key goes on working at the provider, which cannot revoke it"
    return " and revoke its key? Whatever else uses the key stops working"


def _outcomes(integration: Integration, removal: Removal) -> dict[str, str]:
    if integration.auth_type is AuthType.API_KEY:
        return {"API key": _key_text(removal)}
    outcomes = {
        "Refresh token": _outcome_text(removal.refresh_token, removal.refresh_reason),
        "Access token": _outcome_text(removal.access_token, removal.access_reason),
    }
    if removal.installation is RevocationOutcome.UNSUPPORTED:
        outcomes["Installation"] = "stays at the provider"
    return outcomes


def _key_text(removal: Removal) -> str:
    if removal.api_key is RevocationOutcome.UNSUPPORTED or removal.key_reason == "not_asked":
        return "still works at the provider"
    if removal.api_key is RevocationOutcome.SKIPPED and removal.key_reason is None:
        return "refused by the provider before"
    return _outcome_text(removal.api_key, removal.key_reason)


def _outcome_text(outcome: RevocationOutcome, reason: str | None) -> str:
    return outcome.value if reason is None else f"{outcome.value} ({reason})"


def _explain(screen: Screen, removal: Removal) -> None:
    outcomes = {removal.refresh_token, removal.access_token, removal.api_key}
    if removal.key_reason == "not_asked":
        screen.note("not revoked, because it may serve elsewhere; `--revoke-key` revokes a key as well")
    if RevocationOutcome.SHARED in outcomes:
        what = "key" if removal.api_key is RevocationOutcome.SHARED else "token"
        last = "" if what == "key" else "; the one that is deleted last revokes it"
        screen.note(f"shared: another tenant's integration holds the same {what}{last}")
    if "ends_grant" in {removal.refresh_reason, removal.access_reason}:
        screen.note("ends_grant: revoking it may end what another integration of the same account lives on, so it is left until that goes")
    if removal.waiting:
        screen.note(f"{removal.waiting} tokens of earlier connections are still to be revoked")
    if removal.waiting or RevocationOutcome.FAILED in outcomes:
        screen.note("what was not revoked yet is kept sealed and tried again: `cloud-integrations revocations retry`")
