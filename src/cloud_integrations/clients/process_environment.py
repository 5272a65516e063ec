"""Other processes: an environment in which the programs of a provider find the credential of an integration."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from uuid import UUID

from cloud_integrations.domain.credential import Credential
from cloud_integrations.domain.provider import VALUE, EndpointProtocol, Programs, places
from cloud_integrations.errors import ValidationFailedError

from .aws_endpoint import AwsContainer
from .azure_endpoint import AzureAppService
from .endpoint import LOOPBACK, Dialect, open_endpoint
from .google_endpoint import GoogleExternalAccount
from .source import CredentialSource, Manager, Named

_LONG: Final = timedelta(days=1)
"""How long a credential in a variable should still work, for the program cannot get another; those that live shorter are then new."""
_OF_THIS_LIBRARY: Final = "CLOUD_INTEGRATIONS_"
"""How the names of settings of the command line and the server begin: among them are the keys of all tenants, and the database."""
_DIALECTS: Final[Mapping[EndpointProtocol, Dialect]] = {
    "aws_container": AwsContainer(),
    "azure_app_service": AzureAppService(),
    "google_external_account": GoogleExternalAccount(),
}


class ProcessEnvironment(Named, dict[str, str]):
    """Environment variables for another process; shows their names alone, and cannot be pickled."""

    def __init__(self, variables: Mapping[str, str], /, *, is_renewed: bool, expires_at: datetime | None = None) -> None:
        super().__init__(variables)
        self.is_renewed = is_renewed
        """Whether the program can ask for another credential before the first one ends."""
        self.expires_at = expires_at
        """When the credential in the variables ends, in UTC; None: the end is unknown, there is none, or it is renewed."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(sorted(self))})"


@contextmanager
def environment(
    manager: Manager,
    tenant_id: str,
    provider: str | UUID,
    *,
    slot: str = "",
    region_name: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Iterator[ProcessEnvironment]:
    """Give an environment for another process, whose programs find the credential of one integration there.

    The provider's file says how: programs of AWS, Azure and Google ask an endpoint on 127.0.0.1, which renews the credential as long as
    the context is open and asks for a random secret; others find it in variables, with the life that it has (`expires_at`).
    *manager* is an `IntegrationManager`; *provider* and *slot* are as in its `credential`; *region_name* is the region of the process, for
    AWS's SDKs alone.  *environ* is what the environment is made from (this process's own, if left out), without the variables in which
    programs would find another credential.  Each answer of the endpoint is a use in the audit log.

    Raises as `IntegrationManager.credential`; `ValidationFailedError` where it is not known how programs find a credential of this
    provider and method, and for a region that nobody reads; and `ConfigurationError` for an awaiting manager, and inside an event loop.
    """
    source = CredentialSource(manager=manager, tenant_id=tenant_id, integration=provider, slot=slot)
    credential = source.credential()
    programs = _require_programs(credential)
    if region_name is not None and programs.endpoint != "aws_container":
        raise ValidationFailedError(field="region", problem="is for AWS's SDKs alone")
    inherited = without_credentials(os.environ if environ is None else environ, [programs])
    if programs.endpoint is not None:
        with _served(source, programs.endpoint, inherited, region_name) as env:
            env.update(_filled(programs, credential))
            yield env
        return
    credential = source.credential(min_ttl=_LONG)
    variables = inherited | _filled(programs, credential)
    yield ProcessEnvironment(variables, is_renewed=False, expires_at=credential.expires_at)


@contextmanager
def aws_environment(
    manager: Manager,
    tenant_id: str,
    provider: str | UUID = "aws",
    *,
    slot: str = "",
    region_name: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Iterator[ProcessEnvironment]:
    """Give an environment for another process, whose AWS SDK asks here for the keys of one integration as long as the context is open.

    *manager* is an `IntegrationManager`; *provider* and *slot* are as in its `credential`; *region_name* is the region of the process.
    *environ* is what the environment is made from (this process's own, if left out), without the variables and files in which the SDK
    would find other keys.  The keys come from an endpoint on 127.0.0.1 that asks for a random token, which is in the environment.
    Threads answer, so the context may also be opened inside an event loop.  Each answer is a use in the audit log.

    Where the manager raises, the endpoint answers with the code of the error: with status 503 if it is `retryable`, otherwise with 403.
    Raises `ValidationFailedError` for a name that cannot be one, and `ConfigurationError` for an awaiting manager.
    """
    source = CredentialSource(manager=manager, tenant_id=tenant_id, integration=provider, slot=slot)
    inherited = without_credentials(os.environ if environ is None else environ, [Programs(endpoint="aws_container")])
    with _served(source, "aws_container", inherited, region_name) as env:
        yield env


def without_credentials(environ: Mapping[str, str], programs: Collection[Programs], /) -> dict[str, str]:
    """Return *environ* without the variables in which programs would find a credential, and without settings of this library."""
    dialects = [_DIALECTS[each.endpoint] for each in programs if each.endpoint is not None]
    known = {name for each in programs for name in (*each.environment, *each.removes)}
    return {
        name: text
        for name, text in environ.items()
        if not (name in known or name.upper().startswith(_OF_THIS_LIBRARY) or any(dialect.removes(name) for dialect in dialects))
    }


def _require_programs(credential: Credential) -> Programs:
    programs = credential.programs
    if programs is None or not (programs.endpoint or programs.environment):
        problem = (
            "says no variables in which programs find this credential; write them into its file (programs), or use a credential helper"
        )
        raise ValidationFailedError(field="provider", problem=problem)
    return programs


def _filled(programs: Programs, credential: Credential) -> dict[str, str]:
    """Return the variables of the provider's file, but for those that name what the tenant did not have to enter, and has not entered.

    Raises `ResourceNotChosenError` if one of them needs what the tenant must choose first.
    """
    known = {VALUE, *credential.parts, *credential.variables, credential.to_choose}
    return {name: credential.fill_in(template) for name, template in programs.environment.items() if known.issuperset(places(template))}


@contextmanager
def _served(
    source: CredentialSource, protocol: EndpointProtocol, inherited: Mapping[str, str], region_name: str | None
) -> Iterator[ProcessEnvironment]:
    dialect = _DIALECTS[protocol]
    regions = {} if region_name is None else dict.fromkeys(("AWS_REGION", "AWS_DEFAULT_REGION"), region_name)
    with ExitStack() as stack:

        def folder() -> Path:
            return Path(stack.enter_context(TemporaryDirectory(prefix="cloud-integrations-", ignore_cleanup_errors=True)))

        url, secret = stack.enter_context(open_endpoint(source, dialect))
        made = {**inherited, **_past_the_proxy(inherited), **dialect.variables(url, secret, folder), **regions}
        yield ProcessEnvironment(made, is_renewed=True)


def _past_the_proxy(inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that keep requests to the endpoint away from a proxy; some programs read the one, some the other."""
    own = {name: inherited[name] for name in ("no_proxy", "NO_PROXY") if inherited.get(name)}
    return {name: ",".join([own.get(name) or next(iter(own.values()), ""), LOOPBACK]).strip(",") for name in ("no_proxy", "NO_PROXY")}
