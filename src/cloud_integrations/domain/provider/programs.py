"""How programs that know nothing of this library find a credential: variables, an endpoint on loopback, logins of tools."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .base import FileTable
from .variables import places

VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
"""The name of an environment variable."""
EndpointProtocol = Literal["aws_container", "azure_app_service", "google_external_account"]
"""How programs ask for a credential on loopback: as in a container of AWS, as in Azure's App Service, or as an external account of Google
asks for the exchange of a token.
"""


class Login(FileTable):
    """User name and password that a tool shows to servers of the provider."""

    hosts: Annotated[tuple[str, ...], Field(min_length=1)]
    """The servers, without a scheme, and with a port where it is another than 443; templates that may name variables, and in which `*`
    stands for letters, digits and hyphens.
    """
    user: str
    """The user name; a template."""
    password: str = "{value}"  # noqa: S105  # a template
    """The password; a template."""

    def serves(self, host: str, fill: Callable[[str], str], /) -> bool:
        """Return whether *host* (a name, with its port if that is not 443) is one of the servers; *fill* fills a template."""
        return any(re.fullmatch(_pattern(fill(template)), host.lower()) for template in self.hosts)


class Cluster(FileTable):
    """That a cluster of Kubernetes takes the credential: as a bearer token, or as a client certificate."""

    server: str | None = None
    """The only server that it is for, a template; left out: any."""


class Programs(FileTable):
    """How programs that know nothing of this library find the credential.

    The first table that fits the method and the variables is used.
    """

    for_methods: tuple[str, ...] = ()
    """The methods that it is for; empty: all."""
    when: dict[str, str] = Field(default_factory=dict)
    """Variable → the value that the integration must have; empty: any.  So a token of a server of one's own stays out of the variables
    that programs send to the provider's public servers.
    """
    environment: dict[VariableName, str] = Field(default_factory=dict)
    """Name of an environment variable in which programs look → its value, a template.  One that names an input which was not entered is
    left out.  Without `endpoint` they are the credential itself, with the life that it has.
    """
    endpoint: EndpointProtocol | None = None
    """How programs ask for the credential, and for another before it ends: `aws_container`, `azure_app_service` or
    `google_external_account`.  The variables that this needs are not in `environment`.
    """
    audience: str | None = None
    """The resource that the token is for, where its scopes do not say it (`azure_app_service`); a template.  Left out:
    `https://management.azure.com`.
    """
    removes: tuple[VariableName, ...] = ()
    """Further variables in which programs look for a credential; a program that is given this one does not see them.  Those that are set
    for other methods are removed as well.
    """
    git: Login | None = None
    """What git shows to the provider's servers over HTTPS."""
    docker: Login | None = None
    """What docker shows to the provider's registries."""
    kubernetes: Cluster | None = None
    """Whether a cluster takes it."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.environment or self.endpoint or self.git or self.docker or self.kubernetes):
            raise ValueError("give environment, endpoint, git, docker or kubernetes")
        if twice := sorted(self.environment.keys() & set(self.removes)):
            raise ValueError(f"environment and removes both name {', '.join(twice)}")
        if self.audience is not None and self.endpoint != "azure_app_service":
            raise ValueError("audience is for azure_app_service")
        return self

    def fits(self, method_id: str, variables: Mapping[str, str], /) -> bool:
        """Return whether the table is for a credential of the method, of an integration with these *variables*."""
        if self.for_methods and method_id not in self.for_methods:
            return False
        return all(variables.get(name) == value for name, value in self.when.items())

    def names(self) -> tuple[str, ...]:
        """Return the names in all templates, each once."""
        logins = [text for login in (self.git, self.docker) if login is not None for text in (*login.hosts, login.user, login.password)]
        single = [self.audience, None if self.kubernetes is None else self.kubernetes.server]
        templates = [*self.environment.values(), *logins, *(text for text in single if text is not None)]
        return tuple(dict.fromkeys(name for template in templates for name in places(template)))


def _pattern(host: str) -> str:
    return "[a-z0-9-]+".join(map(re.escape, host.lower().split("*")))
