"""The commands of `credential`."""

from __future__ import annotations

from typing import Annotated

import typer

from cloud_integrations_cli import actions
from cloud_integrations_cli.groups import new_noun
from cloud_integrations_cli.options import InSlot, Tenant, one_of, read_settings

app = new_noun("credential")

_Provider = Annotated[str, typer.Option("--provider", metavar="PROVIDER", help="The provider's slug or UUID.", show_default=False)]
_Reveal = Annotated[bool, typer.Option("--reveal", help="Print the secret to a terminal, too.")]


@app.command()
def aws(
    ctx: typer.Context,
    *,
    tenant: Tenant,
    provider: Annotated[str, typer.Option("--provider", metavar="PROVIDER", help="The provider's slug or UUID.")] = "aws",
    slot: InSlot = "",
    reveal: _Reveal = False,
) -> None:
    """Answer AWS's SDKs as a credential_process.

    It prints the keys as JSON. An access key without an end is asked for again after 20 minutes.
    """
    actions.credential.aws(read_settings(ctx), tenant, provider, slot=slot, reveal=reveal)


@app.command()
def git(
    ctx: typer.Context,
    operation: Annotated[str, typer.Argument(metavar="get|store|erase", help="What git asks.", callback=one_of("get", "store", "erase"))],
    *,
    tenant: Tenant,
    provider: _Provider,
    slot: InSlot = "",
    reveal: _Reveal = False,
) -> None:
    """Answer git as a credential helper.

    Only the provider's own servers get an answer. A password that a server refused is replaced once.
    """
    actions.credential.git(lambda: read_settings(ctx), tenant, provider, operation, slot=slot, reveal=reveal)


@app.command()
def docker(
    ctx: typer.Context,
    operation: Annotated[
        str, typer.Argument(metavar="get|store|erase|list", help="What docker asks.", callback=one_of("get", "store", "erase", "list"))
    ],
    *,
    tenant: Tenant,
    provider: _Provider,
    slot: InSlot = "",
    reveal: _Reveal = False,
) -> None:
    """Answer docker as a credential helper.

    Only the provider's own registries get an answer. Errors are printed to stdout, where docker reads them.
    """
    raise typer.Exit(actions.credential.docker(read_settings(ctx), tenant, provider, operation, slot=slot, reveal=reveal))


@app.command()
def kubernetes(
    ctx: typer.Context,
    *,
    tenant: Tenant,
    provider: Annotated[str, typer.Option("--provider", metavar="PROVIDER", help="The provider's slug or UUID.")] = "kubernetes",
    slot: InSlot = "",
    reveal: _Reveal = False,
) -> None:
    """Answer kubectl as a credential plugin.

    It prints an ExecCredential of client.authentication.k8s.io/v1 with a bearer token, or with a client certificate and its key.
    """
    actions.credential.kubernetes(read_settings(ctx), tenant, provider, slot=slot, reveal=reveal)
