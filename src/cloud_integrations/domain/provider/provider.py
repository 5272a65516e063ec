"""One provider: the whole of a provider file."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import date
from functools import cached_property
from typing import Annotated, Self

from pydantic import Field, model_validator

from cloud_integrations.domain.identifiers import ProviderId, provider_id
from cloud_integrations.errors import ValidationFailedError

from .base import FileTable
from .error_rules import ErrorRule, RateLimit
from .key_formats import KeyFormat
from .methods import Method
from .minting import check_exchange, check_minting
from .programs import Programs
from .trust import check_trust
from .variables import Variable, find_origin, places
from .verification import Verification

_HOST = re.compile(r"https?://([^/?#]*)")
_OURS = {"client_id"}
"""Names in URL templates that the flow itself fills."""
_URL_FIELDS = ("authorize_url", "token_url", "par_url", "refresh_url", "issuer")
_WITH_ORIGIN = ("base_urls.", "verifications[")
"""The URLs that may begin with the origin of a tenant's server."""
_OF_A_KEY = (".revoke.key.url", ".rotation.url")
"""The URLs of requests that a key makes about itself."""
_SHOWN = (*_OF_A_KEY, ".after_connecting.url")
"""The URLs, besides those of checks, to which a method's own credential is shown."""
IDENTITY = "identity"
"""The name by which the request that ends a key names the account id that the check found."""
_MAPPED = {"access_token", "expires_in", "refresh_token", "token_type"}


STANDARD_BACKEND = "standard"
"""The name of the OAuth backend that comes with the library."""


class Deprecation(FileTable):
    """Something that a provider has announced to end."""

    methods: tuple[str, ...] = ()
    """The ids of the methods that it is about; empty: the whole provider."""
    ends: date | None = None
    """The day on which it ends; left out: not said."""
    instead: str
    """What to use instead, or what happens, as a sentence."""
    source: str
    """The page that says so, as a URL."""


class Provider(FileTable):
    """One provider: its endpoints, and how access is obtained, checked, renewed and revoked."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]
    """The slug; never change it, because the provider's UUID is made from it."""
    name: str
    """Its name for people."""
    category: str = "other"
    """What it is grouped by: `cloud`, `paas`, `database`, `data`, `storage`, `network`, `security`, `identity`, `observability`,
    `devtools`, `communications`, `payments`, `work`, `ai` or `other`."""
    aliases: tuple[Annotated[str, Field(min_length=2, max_length=40)], ...] = ()
    """Other words by which people look for it: an older name, an abbreviation, a product."""
    description: Annotated[str, Field(max_length=100)] = ""
    """What it is, in a few words for a list to choose from."""
    documentation: Annotated[str, Field(pattern=r"^(?:https://[!-~]+)?$")] = ""
    """The provider's own page about access, as a URL."""
    active: bool = True
    """Whether new connections are offered."""
    checked: date | None = None
    """The day on which the file was last compared with its sources."""
    deprecations: tuple[Deprecation, ...] = ()
    """What the provider has announced to end."""
    formats: tuple[KeyFormat, ...] = ()
    """The forms of this provider's keys and tokens; a key of one of them is refused for other providers."""
    variables: tuple[Variable, ...] = ()
    """Values that the templates need."""
    sites: dict[str, dict[str, str]] = Field(default_factory=dict)
    """Name of a site, as a callback gives it → its variables; see `site_from` of a method's callback."""
    base_urls: dict[str, str] = Field(default_factory=dict)
    """The URLs of the provider's APIs, by name; templates, shown to people."""
    methods: tuple[Method, ...]
    """Ways to obtain access, in order of preference."""
    verifications: tuple[Verification, ...] = ()
    """Checks of a credential; the first one that fits the method and whose variables have values is used."""
    error_rules: tuple[ErrorRule, ...] = ()
    """What the provider's failures mean; the first rule that fits is used."""
    rate_limit: RateLimit = RateLimit()
    """How the provider signals a rate limit."""
    programs: tuple[Programs, ...] = ()
    """How programs that know nothing of this library find a credential; the first one that fits the method is used."""
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

    def deprecation_of(self, method_id: str, /) -> Deprecation | None:
        """Return the first end that the provider has announced for this method, or for all of them; None: none is known."""
        about = [each for each in self.deprecations if not each.methods or method_id in each.methods]
        return min(about, key=lambda each: each.ends or date.max, default=None)

    def programs_of(self, method_id: str, variables: Mapping[str, str], /) -> Programs | None:
        """Return how programs find a credential of the method, where the integration has *variables*; None: not known.

        It removes the variables of all other tables, too.
        """
        return next((each for each in self._programs if each.fits(method_id, variables)), None)

    @cached_property
    def _programs(self) -> tuple[Programs, ...]:
        """`programs`, each of which removes the variables of all others; made once, because each credential is asked for one."""
        known = {name for each in self.programs for name in (*each.environment, *each.removes)}
        return tuple(each.model_copy(update={"removes": tuple(sorted(known - each.environment.keys()))}) for each in self.programs)

    @cached_property
    def told_by(self) -> Mapping[str, tuple[str, ...]]:
        """Variable → the inputs whose form may tell it (`derives`), each once."""
        told = [(rule.variable, given.name) for method in self.methods for given in method.entered_inputs for rule in given.derives]
        return {name: tuple(dict.fromkeys(told_by for variable, told_by in told if variable == name)) for name, _ in told}

    def fill_variables(
        self, given: Mapping[str, str], /, *, operator: Mapping[str, str] | None = None, later: Collection[str] = ()
    ) -> dict[str, str]:
        """Return the values of all variables by name: those of the *operator*, else those that the tenant has *given*, else the defaults.

        Only the operator may set variables with the source `application` (the host of a self-hosted edition).  Variables without a
        value are left out, and so is a resource that is still to be chosen, whose value is empty; those that are named in *later* may be
        missing.

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
            if variable.source == "after_connecting" and value == "":
                continue
            if value is not None:
                filled[variable.name] = variable.check(value)
            elif variable.required and variable.source in {"input", "application"} and variable.name not in later:
                problem = "is required by this provider" + (", because the key does not tell it" if variable.name in self.told_by else "")
                raise ValidationFailedError(field=f"variables.{variable.name}", problem=problem)
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
    def _keys_tell_variables_of_tenants(self) -> Self:
        tenants = {variable.name: variable for variable in self.variables if variable.source == "input"}
        for method in self.methods:
            for given in method.inputs:
                for rule in given.derives:
                    where = f"{method.id}.inputs.{given.name}.derives"
                    if rule.variable not in tenants:
                        raise ValueError(f"{where} names {rule.variable}, which is no variable that tenants give")
                    for value in (*rule.values.values(), *rule.fits_all):
                        try:
                            tenants[rule.variable].check(value)
                        except ValidationFailedError as error:
                            raise ValueError(f"{where}: a value of {rule.variable} {error.problem}") from None
        return self

    @model_validator(mode="after")
    def _maps_name_what_is_read(self) -> Self:
        known = _MAPPED | {variable.name for variable in self.variables if variable.source == "token_reply"}
        for method in self.methods:
            named = [(method.reply.map, known), *((step.reply.map, known - _MAPPED) for step in method.mint)]
            if unread := sorted(name for names, readable in named for name in names.keys() - readable):
                raise ValueError(f"{method.id}: a reply.map names {', '.join(unread)}, which is not read from there")
        return self

    @model_validator(mode="after")
    def _resources_are_found(self) -> Self:
        found = {variable.name for variable in self.variables if variable.source == "after_connecting"}
        named = {method.after_connecting.variable for method in self.methods if method.after_connecting is not None}
        if wrong := sorted(found ^ named):
            raise ValueError(f"{wrong[0]} must be a variable with the source after_connecting, and named by a method's after_connecting")
        if not found:
            return self
        if any(variable.source == "token_reply" for variable in self.variables):
            raise ValueError("a renewal writes the variables of a token answer, so there is none that is found after connecting")
        if method_id := next((method.id for method in self.methods if found & method.asked_before), None):
            raise ValueError(f"{method_id} needs what is found after connecting, before it is found")
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
        limits += [each.for_methods for each in self.programs]
        limits += [each.methods for each in self.deprecations]
        for name in (name for named in limits for name in named):
            if name not in methods:
                raise ValueError(f"for_methods names {name}, which is no method of this provider")
        if unknown := sorted({name for each in self.programs for name in each.when} - variables):
            raise ValueError(f"programs.when names {', '.join(unknown)}, which is no variable of this provider")
        for check in self.verifications:
            paths = [path.removeprefix("ctx:") for path in (*check.identity, *check.label) if path.startswith("ctx:")]
            for name in (*check.needs, *check.places, *paths):
                if name not in variables | self._public_inputs():
                    raise ValueError(f"a verification names {name}, which is no variable of this provider")
        for where, template in self._texts():
            for name in places(template):
                if name not in variables | _OURS:
                    raise ValueError(f"{where} uses {{{name}}}, which is no variable of this provider")
        return self

    @model_validator(mode="after")
    def _only_keys_end_by_a_check(self) -> Self:
        limits = [check.for_methods for check in self.verifications if check.expires is not None]
        for method in self.methods:
            renewed = bool(method.mint) or method.token_url is not None or method.metadata is not None
            if renewed and any(not limit or method.id in limit for limit in limits):
                raise ValueError(f"a verification has expires, and {method.id} is renewed: limit it by for_methods")
        return self

    @model_validator(mode="after")
    def _only_what_is_checked_is_kept_alive(self) -> Self:
        for method in self.methods:
            checked = any(not check.for_methods or method.id in check.for_methods for check in self.verifications)
            if method.idle is not None and (method.mint or not checked):
                raise ValueError(f"{method.id}.idle is for what a verification checks and nothing mints")
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
        origins = self.origin_inputs
        for where, template in self._templates():
            may_begin = where.startswith(_WITH_ORIGIN) or where.endswith(_SHOWN)
            host = self._check_url(where, template, origins=origins if may_begin else ())
            for name in places(template):
                if name not in declared | ({IDENTITY} if where.endswith(_OF_A_KEY) else set()):
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
        if not template.isprintable() or " " in template:
            raise ValueError(f"{where} must be a URL in one line, without spaces")
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
                if method.exchange is not None:
                    public = variables | {name for name, secret in parts if not secret}
                    check_exchange(method.exchange, names=public | ours, public=public)
                by_issuer = any(proof.by_platform for proof in method.proofs.values())
                check_trust(method.inputs, method.mint, method.must_fail, by_issuer=by_issuer)
            except ValueError as error:
                raise ValueError(f"{method.id}.{error}") from None
        return self

    @property
    def origin_inputs(self) -> frozenset[str]:
        """The names of inputs by which tenants enter a server of their own."""
        return frozenset(given.name for method in self.methods for given in method.inputs if given.form == "origin")

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
            if method.after_connecting is not None:
                named.append(("after_connecting.url", method.after_connecting.url))
            if method.revoke is not None:
                named += [("revoke.url", method.revoke.url), ("revoke.manual_url", method.revoke.manual_url)]
            if method.key_revocation is not None:
                named.append(("revoke.key.url", method.key_revocation.url))
            if method.rotation is not None:
                named.append(("rotation.url", method.rotation.url))
            found.extend((f"{method.id}.{field}", template) for field, template in named if template is not None)
            found.extend((f"{method.id}.mint[{index}].url", step.url) for index, step in enumerate(method.mint))
            found.extend((f"{method.id}.exchange.url", step.url) for step in (method.exchange,) if step is not None)
        found.extend((f"verifications[{index}].url", check.url) for index, check in enumerate(self.verifications))
        return found


def _is_loopback(host: str) -> bool:
    return re.fullmatch(r"(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?", host) is not None
