"""The command `demo`."""

from __future__ import annotations

from cloud_integrations_cli import actions
from cloud_integrations_cli.groups import new_command

app = new_command()


@app.command()
def demo() -> None:
    """Show everything from end to end.

    Needs no account and no network, and takes a few seconds.
    A simulated provider, a temporary database and the API run on this computer; one tenant connects by OAuth2, another by API key.
    """
    actions.demo.run()
