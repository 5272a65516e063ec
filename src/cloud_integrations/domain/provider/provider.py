"""One provider: the whole of a provider file."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Self

from pydantic import Field, model_validator

from cloud_integrations.domain.identifiers import ProviderId, provider_id
from cloud_integrations.errors import ValidationFailedError

from .base import FileTable
from .error_rules import ErrorRule, RateLimit
from .methods import Method
from .minting import check_minting
from .trust import check_trust
from .variables import Variable, find_origin, places
from .verification import Verification

_HOST = re.compile(r"https?://([^/?#]*)")
_OURS = {"client_id"}
"""Names in URL templates that the flow itself fills."""
_URL_FIELDS = ("authorize_url", "token_url", "par_url", "refresh_url", "issuer")
_WITH_ORIGIN = ("base_urls.", "verifications[")
"""The URLs that may begin with the origin of a tenant's server."""
_KEY_URL = ".revoke.key.url"
IDENTITY = "identity"
"""The name by which the request that ends a key names the account id that the check found."""
_MAPPED = {"access_token", "expires_in", "refresh_token", "token_type"}


STANDARD_BACKEND = "standard"
"""The name of the OAuth backend that comes with the library."""


class Provider(FileTable):
    """One provider: its endpoints, and how access is obtained, checked, renewed and revoked."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]
    """The slug; never change it, because the provider's UUID is made from it."""
    name: str
    """Its name for people."""
    category: str = "other"
    """A word to group providers by."""
    documentation: str = ""
    """The provider's own page about access, as a URL."""
    active: bool = True
    """Whether new connections are offered."""
    key_prefixes: tuple[Annotated[str, Field(min_length=4)], ...] = ()
    """Prefixes of this provider's keys and tokens; a key with one of them is refused for other providers."""
    variables: tuple[Variable, ...] = ()
    """Values that the templates need."""
    sites: dict[str, dict[str, str]] = {}
    """Name of a site, as a callback gives it → its variables; see `site_from` of a method's callback."""
    base_urls: dict[str, str] = {}
    """The URLs of the provider's APIs, by name; templates, shown to people."""
    methods: tuple[Method, ...]
    """Ways to obtain access, in order of preference."""
    verifications: tuple[Verification, ...] = ()
    """Checks of a credential; the first one that fits the method and whose variables have values is used."""
    error_rules: tuple[ErrorRule, ...] = ()
    """What the provider's failures mean; the first rule that fits is used."""
    rate_limit: RateLimit = RateLimit()
    """How the provider signals a rate limit."""
    self_hosted: bool = False
    """Whether operators run this software themselves; then a host that the operator names may have a private address."""
    backend: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,64}$")] = STANDARD_BACKEND
    """The name of the OAuth backend: the code that builds this provider's OAuth2 requests and reads the answers."""
    loopback: bool = False
    """Whether plain http to a loopback address is allowed; for simulated providers and development only."""

    @property
    def provider_id(self) -> ProviderId:
        """The provider's UUID, made from its slug."""
        return provider_id(self.id)

    def method_named(self, method_id: str, /) -> Method | None:
        """Return the method with this id, or None."""
        return next((method for method in self.methods if method.id == method_id), None)

    def fill_variables(self, given: Mapping[str, str], /, *, operator: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the values of all variables by name: those of the *operator*, else those that the tenant has *given*, else the defaults.

        Only the operator may set variables with the source `application` (the host of a self-hosted edition).  Variables without a
        value are left out.

        Raises `ValidationFailedError`, which names the variable, for one that is unknown, missing, not valid or the operator's.
        """
        known = {variable.name: variable for variable in self.variables}
        for name in given:
            if name not in known:
                # The name is not repeated, because the caller may have put a secret there.
                raise ValidationFailedError(field="variables", problem="name a variable that this provider does not have")
            if known[name].source == "application":
                raise ValidationFailedError(field=f"variables.{name}", problem="is chosen by the operator")
        configured = operator or {}
        filled: dict[str, str] = {}
        for variable in self.variables:
            value = configured.get(variable.name, given.get(variable.name, variable.default))
            if value is not None:
                filled[variable.name] = variable.check(value)
            elif variable.required and variable.source in {"input", "application"}:
                raise ValidationFailedError(field=f"variables.{variable.name}", problem="is required by this provider")
        return filled

    def on_private_host(self, variables: Mapping[str, str], /) -> bool:
        """Return whether the operator has named the host of a self-hosted edition, so that a private address is allowed."""
        return self.self_hosted and any(
            variable.in_host and variable.source == "application" and variables.get(variable.name, variable.default) != variable.default
            for variable in self.variables
        )

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Self:
        methods = [method.id for method in self.methods]
        variables = [variable.name for variable in self.variables]
        for names in (methods, variables):
            if len(set(names)) != len(names):
                raise ValueError("two methods, or two variables, have one name")
        return self

    def tenant_variables(self, filled: Mapping[str, str], /) -> dict[str, str]:
        """Return the variables to store with an integration: all but those with the source `application`."""
        operators = {variable.name for variable in self.variables if variable.source == "application"}
        return {name: value for name, value in filled.items() if name not in operators}

    @model_validator(mode="after")
    def _sites_are_usable(self) -> Self:
        tenants = {variable.name: variable for variable in self.variables if variable.source != "application"}
        for site, values in self.sites.items():
            for name, value in values.items():
                if name not in tenants:
                    raise ValueError(f"sites.{site} sets {name}, which is no variable of this provider, or the operator's alone")
                try:
                    tenants[name].check(value)
                except ValidationFailedError as error:
                    raise ValueError(f"sites.{site}.{name} {error.problem}") from None
        if not self.sites and any(method.callback.site_from is not None for method in self.methods):
            raise ValueError("a callback names a site, and there are none")
        return self

    @model_validator(mode="after")
    def _maps_name_what_is_read(self) -> Self:
        known = _MAPPED | {variable.name for variable in self.variables if variable.source == "token_reply"}
        for method in self.methods:
            if unread := sorted(method.reply.map.keys() - known):
                raise ValueError(f"{method.id}.reply.map names {', '.join(unread)}, which is not read from there")
        return self

    @model_validator(mode="after")
    def _installations_name_a_sign_in(self) -> Self:
        for method in self.methods:
            if method.installation is None:
                continue
            sign_in = self.method_named(method.installation.sign_in)
            if sign_in is None or sign_in.kind != "code" or sign_in.token_url != method.token_url:
                raise ValueError(f"{method.id}.installation.sign_in must be a method of the kind code with the same token_url")
        return self

    @model_validator(mode="after")
    def _methods_narrow_variables_that_exist(self) -> Self:
        for method in self.methods:
            if unknown := sorted(method.variables.keys() - {variable.name for variable in self.variables}):
                raise ValueError(f"{method.id}.variables names {', '.join(unknown)}, which is no variable of this provider")
        return self

    @model_validator(mode="after")
    def _names_are_declared(self) -> Self:
        methods = {method.id for method in self.methods}
        variables = {variable.name for variable in self.variables}
        limits = [check.for_methods for check in self.verifications] + [rule.for_methods for rule in self.error_rules]
        for name in (name for named in limits for name in named):
            if name not in methods:
                raise ValueError(f"for_methods names {name}, which is no method of this provider")
        for check in self.verifications:
            paths = [path.removeprefix("ctx:") for path in (*check.identity, *check.label) if path.startswith("ctx:")]
            for name in (*check.needs, *paths):
                if name not in variables | self._public_inputs():
                    raise ValueError(f"a verification names {name}, which is no variable of this provider")
        for where, template in self._texts():
            for name in places(template):
                if name not in variables | _OURS:
                    raise ValueError(f"{where} uses {{{name}}}, which is no variable of this provider")
        return self

    def _texts(self) -> Iterator[tuple[str, str]]:
        """Return the templates that are no URLs, each with its field."""
        for method in self.methods:
            named = {
                "authorize_params": method.authorize_params,
                "token_params": method.token_params,
                # The redirect URI of the authorization replaces this value.
                "refresh_params": {name: text for name, text in method.refresh_params.items() if name != "redirect_uri"},
                "headers.token": method.headers.get("token", {}),
                "revoke.headers": {} if method.revoke is None else method.revoke.headers,
            }
            for field, texts in named.items():
                yield from ((f"{method.id}.{field}.{name}", text) for name, text in texts.items())

    @model_validator(mode="after")
    def _variables_are_declared(self) -> Self:
        # No secret: URLs are written into logs.
        declared = {variable.name for variable in self.variables} | self._public_inputs() | _OURS
        in_host = {variable.name for variable in self.variables if variable.in_host}
        origins = {given.name for method in self.methods for given in method.inputs if given.form == "origin"}
        for where, template in self._templates():
            may_begin = where.startswith(_WITH_ORIGIN) or where.endswith(_KEY_URL)
            host = self._check_url(where, template, origins=origins if may_begin else ())
            for name in places(template):
                if name not in declared | ({IDENTITY} if where.endswith(_KEY_URL) else set()):
                    raise ValueError(f"{where} uses {{{name}}}, which is no variable of this provider")
            for name in places(host):
                if name not in in_host:
                    raise ValueError(f"{where} has {{{name}}} in its host; mark that variable in_host")
        return self

    def _check_url(self, where: str, template: str, *, origins: Collection[str]) -> str:
        if find_origin(template) in origins and "#" not in template:
            return ""
        host = _HOST.match(template)
        if host is None or "@" in host[1] or "#" in template:
            raise ValueError(f"{where} must be a URL without user name and fragment")
        if not template.startswith("https://") and not (self.loopback and _is_loopback(host[1])):
            raise ValueError(f"{where} must be an https URL")
        return host[1]

    @model_validator(mode="after")
    def _mints_can_be_made(self) -> Self:
        variables = {variable.name for variable in self.variables}
        for method in self.methods:
            parts = [(name, name not in given.public_names) for given in method.inputs for name in given.part_names]
            ours = {"client_id", "client_secret"} if method.application == "platform" else set[str]()
            try:
                check_minting(
                    method.mint,
                    method.proofs,
                    public=variables | {name for name, secret in parts if not secret} | (ours & {"client_id"}),
                    secret={name for name, secret in parts if secret} | (ours & {"client_secret"}),
                )
                by_issuer = any(proof.by_platform for proof in method.proofs.values())
                check_trust(method.inputs, method.mint, method.must_fail, by_issuer=by_issuer)
            except ValueError as error:
                raise ValueError(f"{method.id}.{error}") from None
        return self

    def _public_inputs(self) -> set[str]:
        return {name for method in self.methods for given in method.inputs for name in given.public_names}

    def _templates(self) -> list[tuple[str, str]]:
        found = [(f"base_urls.{name}", template) for name, template in self.base_urls.items()]
        for method in self.methods:
            named = [(field, getattr(method, field)) for field in _URL_FIELDS]
            if method.device is not None:
                named.append(("device.url", method.device.url))
            if method.installation is not None and method.installation.listing is not None:
                named.append(("installation.listing.url", method.installation.listing.url))
            named.append(("present.clock", method.present.clock))
            if method.revoke is not None:
                named += [("revoke.url", method.revoke.url), ("revoke.manual_url", method.revoke.manual_url)]
            if method.key_revocation is not None:
                named.append((_KEY_URL.removeprefix("."), method.key_revocation.url))
            found.extend((f"{method.id}.{field}", template) for field, template in named if template is not None)
            found.extend((f"{method.id}.mint[{index}].url", step.url) for index, step in enumerate(method.mint))
        found.extend((f"verifications[{index}].url", check.url) for index, check in enumerate(self.verifications))
        return found


def _is_loopback(host: str) -> bool:
    return re.fullmatch(r"(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?", host) is not None
