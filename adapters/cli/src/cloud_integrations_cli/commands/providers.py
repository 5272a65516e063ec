"""The commands of `providers`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cloud_integrations_cli import actions
from cloud_integrations_cli.groups import new_noun
from cloud_integrations_cli.options import Fields, Inputs, MethodId, Output, ProviderName, Variables, open_screen, read_settings

app = new_noun("providers")


@app.command("list")
def list_(
    ctx: typer.Context,
    search: Annotated[
        str | None,
        typer.Option("--search", metavar="WORDS", help="Only those that fit these words, the best first.", show_default=False),
    ] = None,
    category: Annotated[
        str | None,
        typer.Option("--category", metavar="WORD", help="Only those of this category, such as cloud or database.", show_default=False),
    ] = None,
    fields: Fields = None,
    output: Output = None,
) -> None:
    """List the providers, and what is configured for them.

    The words are searched for in slug, name, other names, description and category.
    """
    actions.providers.list_all(open_screen(ctx, output, fields), read_settings(ctx), search=search, category=category)


@app.command()
def show(ctx: typer.Context, provider: ProviderName, output: Output = None) -> None:
    """Show one provider.

    With its methods, their inputs, and the redirect URI to register.
    """
    actions.providers.show(open_screen(ctx, output), read_settings(ctx), provider)


@app.command()
def guide(
    ctx: typer.Context,
    provider: ProviderName,
    method: MethodId = None,
    *,
    tenant: Annotated[
        str | None, typer.Option("--tenant", "-t", metavar="ID", help="The tenant for whom it is.", show_default=False)
    ] = None,
    variable: Variables = None,
    given: Inputs = None,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="DIR", help="Write the documents into this folder, and show the rest.", show_default=False),
    ] = None,
    output: Output = None,
) -> None:
    """Show what to do at a provider before connecting.

    Steps, links, documents, and what to delete afterwards.  The permissions are those of the setting `policies`.
    """
    actions.guides.show(
        open_screen(ctx, output),
        read_settings(ctx),
        provider,
        actions.guides.Asked(method=method, tenant=tenant, variables=tuple(variable or ()), inputs=tuple(given or ()), to=to),
    )


@app.command()
def lint(
    ctx: typer.Context,
    path: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PATH]", help="Provider files, or folders of them.", show_default="the built-in ones and those of the settings"
        ),
    ] = None,
    output: Output = None,
) -> None:
    """Check provider files and setup guides.

    It ends with exit code 4 if something is wrong.
    """
    actions.providers.lint(open_screen(ctx, output), lambda: read_settings(ctx), path or ())


@app.command()
def doctor(ctx: typer.Context, output: Output = None) -> None:
    """Show which providers and methods work here.

    What the others lack, the redirect URIs to register, and what ends: grants and keys by age or disuse, and methods that are announced
    to end; with the number of integrations, of all tenants, that each concerns.  Without a database, nothing is counted.
    It ends with exit code 8 if an application lacks something.
    """
    actions.provider_doctor.examine(open_screen(ctx, output), read_settings(ctx))


def _new_option(name: str, metavar: str, text: str) -> Any:
    return typer.Option(name, metavar=metavar, help=text, show_default=False)


@app.command()
def new(
    ctx: typer.Context,
    *,
    slug: Annotated[str | None, _new_option("--id", "SLUG", "The slug, which never changes.")] = None,
    name: Annotated[str | None, _new_option("--name", "NAME", "Its name for people.")] = None,
    documentation: Annotated[str | None, _new_option("--documentation", "URL", "The provider's own page about access.")] = None,
    category: Annotated[str | None, _new_option("--category", "WORD", "A word to group providers by.")] = None,
    kind: Annotated[
        str | None, _new_option("--kind", "api_key|oauth2|client_credentials|basic", "How it connects; api_key if it is left out.")
    ] = None,
    place: Annotated[str | None, _new_option("--place", "bearer|header:NAME|query:NAME", "Where a key goes in a request.")] = None,
    authorize_url: Annotated[str | None, _new_option("--authorize-url", "URL", "Where a person consents, for oauth2.")] = None,
    token_url: Annotated[str | None, _new_option("--token-url", "URL", "Where tokens are made, for oauth2 and client_credentials.")] = None,
    rotates: Annotated[
        str | None, _new_option("--rotates", "always|sometimes|never", "Whether a refresh replaces the refresh token, for oauth2.")
    ] = None,
    check_url: Annotated[str | None, _new_option("--check-url", "URL", "A read-only request that needs the credential.")] = None,
    account: Annotated[str | None, _new_option("--account", "json:PATH|header:NAME", "Where the answer to it names the account.")] = None,
    dead_status: Annotated[str | None, _new_option("--dead-status", "STATUS", "The status of a dead credential.")] = None,
    pattern: Annotated[str | None, _new_option("--pattern", "REGEX", "The form of a key, from ^ to $.")] = None,
    revoke_page: Annotated[str | None, _new_option("--revoke-page", "URL", "The page where a person ends the access.")] = None,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Write the files into this folder.")] = Path(),
    output: Output = None,
) -> None:
    """Write the files of a new provider.

    A provider file, its evidence, a setup guide and a test. What no option says is asked for, and everything but the slug may be left
    out: a comment then says what is to be found out. A file that exists is never overwritten.
    """
    given = {
        "slug": slug,
        "name": name,
        "documentation": documentation,
        "category": category,
        "kind": kind,
        "place": place,
        "authorize_url": authorize_url,
        "token_url": token_url,
        "rotates": rotates,
        "check_url": check_url,
        "account": account,
        "dead_status": dead_status,
        "pattern": pattern,
        "revoke_page": revoke_page,
    }
    actions.new_provider.create(open_screen(ctx, output), given, to)


@app.command()
def check(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A provider file.", show_default=False)],
    *,
    live: Annotated[bool, typer.Option("--live", help="Ask the provider, with a key that works.")] = False,
    method: MethodId = None,
    given: Inputs = None,
    variable: Variables = None,
    output: Output = None,
) -> None:
    """Check one provider file, with --live against the provider.

    Without --live nothing is sent, and it says what would be. With it, the key is asked for without echo, or read by `--input`; the
    check is sent with the key, and once more with one character of it changed. Nothing is stored, and the key is in no output.
    It ends with exit code 4 if something is wrong, 5 if the provider refuses the key, and 6 if no answer says whether it works.
    """
    asked = actions.checking.Asked(method=method, inputs=tuple(given or ()), variables=tuple(variable or ()))
    actions.checking.check(open_screen(ctx, output), lambda: read_settings(ctx), file, asked, live=live)
