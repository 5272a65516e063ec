"""The commands of `report`."""

from __future__ import annotations

import typer

from cloud_integrations_cli import actions
from cloud_integrations_cli.groups import new_noun
from cloud_integrations_cli.options import Fields, Output, open_screen, read_settings

app = new_noun("report")


@app.callback()
def _noun() -> None:
    pass


@app.command()
def compliance(ctx: typer.Context, *, fields: Fields = None, output: Output = None) -> None:
    """Show facts of this installation, by controls.

    Controls of SOC 2, ISO 27001, the GDPR and DORA. No secret is shown, and what cannot be known here is named as such. It is evidence
    for people who audit, and no certificate. Ends with exit code 11 when the operator's audit log is broken; the logs of tenants are
    not checked.
    """
    actions.report.compliance(open_screen(ctx, output, fields), read_settings(ctx))
