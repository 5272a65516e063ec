"""Everything that can go wrong, as a tree.

    CloudIntegrationsError
    ├── ValidationFailedError            the request names a field and what is wrong with it
    ├── ForbiddenError                   the actor may not do this
    ├── TenantNotFoundError
    ├── ProviderNotFoundError
    ├── ProviderInactiveError
    ├── IntegrationNotFoundError         missing, or another tenant's: the same answer
    ├── IntegrationExistsError           one integration per provider and tenant
    ├── InvalidCredentialsError          the provider itself refused the key
    ├── CredentialError                  no working credential can be handed out now; a closed set:
    │   ├── ReconnectRequiredError       the tenant must connect again
    │   ├── IntegrationInactiveError     somebody switched it off
    │   └── RefreshInProgressError       another worker is renewing it; come back soon
    ├── OAuthError
    │   ├── GrantRefusedError            the provider, or our own checks, refused this grant
    │   ├── ProviderUnavailableError     the provider did not answer, or answered nonsense
    │   │   ├── ProviderUnreachableError the request never arrived
    │   │   ├── AnswerLostError          the request may have arrived; its answer did not
    │   │   └── OAuthBackendError        the code that speaks with it made a mistake
    │   └── AppMisconfiguredError        the operator's OAuth application is refused; no tenant is at fault
    ├── StorageUnavailableError
    │   ├── CommitUnknownError           the connection broke while committing
    │   └── KeyServiceUnavailableError   the service that wraps the data keys did not answer
    ├── DamagedRowError                  somebody edited a row of the store, and it cannot be read any more
    ├── UnstorableValueError             too long for its place, or parts that do not belong together; a mistake in the program
    ├── CredentialFormError              asked for in a form that the provider does not take; a mistake in the program
    ├── StaleWriteError                  somebody else wrote first (used between flows and stores)
    ├── KeyRetiredError                  sealed under a key that seals no more (used between flows and stores)
    └── SetupError                       found at start, before anything is lost
        ├── ConfigurationError
        ├── SchemaError                  the database is not migrated
        └── KeyringError                 a key is missing or is not the key it was

    SealingError
    └── DecryptError                     one class and one text for every reason

Each class carries a stable `code`, whether repeating the call can help (`retryable`), when
(`retry_after`), and `advice`: what to do, for the person who reads it.  `details` holds public
facts only.  No message repeats a secret, a code, a token or a provider's prose.  What the provider itself said to
developers stands in `error_description` of `ReconnectRequiredError`, `GrantRefusedError`, `ProviderUnavailableError` and
`AppMisconfiguredError`: at most 512 printable characters, without the secrets that were sent, or None.  It is for the
operator's log: hostile text for all we know, and not to be shown to a tenant.
`http_status` says which HTTP status each class has.

Errors can be pickled and copied, also subclasses with arguments of their own: class, text, attributes and notes arrive.  As with
every exception of Python, `__cause__` and the traceback stay behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any, ClassVar, Literal

__all__ = [
    "AnswerLostError",
    "AppMisconfiguredError",
    "CloudIntegrationsError",
    "CommitUnknownError",
    "ConfigurationError",
    "CredentialError",
    "CredentialForm",
    "CredentialFormError",
    "DamagedRowError",
    "DecryptError",
    "ForbiddenError",
    "GrantRefusedError",
    "IntegrationExistsError",
    "IntegrationInactiveError",
    "IntegrationNotFoundError",
    "InvalidCredentialsError",
    "KeyRetiredError",
    "KeyServiceUnavailableError",
    "KeyringError",
    "OAuthBackendError",
    "OAuthError",
    "ProviderInactiveError",
    "ProviderNotFoundError",
    "ProviderUnavailableError",
    "ProviderUnreachableError",
    "ReconnectRequiredError",
    "RefreshInProgressError",
    "SchemaError",
    "SealingError",
    "SetupError",
    "StaleWriteError",
    "StorageUnavailableError",
    "TenantNotFoundError",
    "UnstorableValueError",
    "ValidationFailedError",
    "http_status",
]

CredentialForm = Literal["headers", "params", "basic"]
"""How a credential can be sent, by the methods of `Credential`."""


class CloudIntegrationsError(Exception):
    """The parent of every error this library raises."""

    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False
    advice: ClassVar[str] = ""

    def __init__(self, message: str, /, *, retry_after: timedelta | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after
        self.details: dict[str, Any] = details

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy is made from the attributes, without `__init__`: each class, a host's included, has arguments of its own there.
        slots = {name: getattr(self, name) for kind in type(self).__mro__ for name in _slots(kind) if hasattr(self, name)}
        return _rebuilt, (type(self), self.args), {**self.__dict__, **slots}


def _slots(kind: type[Any], /) -> tuple[str, ...]:
    named = kind.__dict__.get("__slots__", ())
    return (named,) if isinstance(named, str) else tuple(named)


def _rebuilt(kind: type[CloudIntegrationsError], args: tuple[Any, ...], /) -> CloudIntegrationsError:
    error = kind.__new__(kind, *args)
    error.args = args
    return error


class ValidationFailedError(CloudIntegrationsError):
    """The request is not well formed; `field` says where."""

    code = "integration/validation-failed"
    advice = "Correct the named field and try again."

    def __init__(self, *, field: str, problem: str) -> None:
        super().__init__(f"{field} {problem}", fields=[{"field": field, "problem": problem}])
        self.field = field
        self.problem = problem


class ForbiddenError(CloudIntegrationsError):
    """The actor may not do this."""

    code = "auth/forbidden"
    advice = "Ask an administrator for the permission."

    def __init__(self) -> None:
        super().__init__("not allowed")


class TenantNotFoundError(CloudIntegrationsError):
    """The host does not know this tenant."""

    code = "tenant/not-found"

    def __init__(self, *, tenant_id: str) -> None:
        super().__init__("no such tenant", tenantId=tenant_id)


class ProviderNotFoundError(CloudIntegrationsError):
    """The catalogue has no such provider."""

    code = "provider/not-found"
    advice = "List the providers to see which ids exist."

    def __init__(self, *, provider: str) -> None:
        super().__init__("no such provider", providerId=provider)


class ProviderInactiveError(CloudIntegrationsError):
    """The provider is known, but switched off or not set up here."""

    code = "provider/inactive"
    advice = "The operator must configure or enable this provider."

    def __init__(self, *, provider_id: str, problem: str = "is not active") -> None:
        super().__init__(f"the provider {problem}", providerId=provider_id)


class IntegrationNotFoundError(CloudIntegrationsError):
    """There is no such integration in this tenant."""

    code = "integration/not-found"

    def __init__(self) -> None:
        super().__init__("no such integration")


class IntegrationExistsError(CloudIntegrationsError):
    """The tenant already has an integration with this provider."""

    code = "integration/already-exists"
    advice = "Reconnect the existing integration, or delete it first."

    def __init__(self, *, tenant_id: str, provider_id: str) -> None:
        super().__init__("this tenant already has an integration with this provider", tenantId=tenant_id, providerId=provider_id)


class InvalidCredentialsError(CloudIntegrationsError):
    """The provider itself refused the key."""

    code = "integration/invalid-credentials"
    advice = "Check the key at the provider and enter it again."

    def __init__(self, *, provider_id: str, reason: str = "refused") -> None:
        super().__init__("the provider refused these credentials", providerId=provider_id, reason=reason)
        self.reason = reason


class CredentialError(CloudIntegrationsError):
    """No working credential can be handed out now."""


class ReconnectRequiredError(CredentialError):
    """Only the tenant can repair this, by connecting again."""

    code = "integration/reconnect-required"
    advice = "Ask the tenant to reconnect this integration."

    def __init__(self, *, integration_id: str, reason: str, error_description: str | None = None) -> None:
        super().__init__("the tenant must reconnect this integration", integrationId=integration_id, reason=reason)
        self.reason = reason
        self.error_description = error_description


class IntegrationInactiveError(CredentialError):
    """Somebody switched this integration off."""

    code = "integration/inactive"
    advice = "Enable the integration to use it again."

    def __init__(self, *, integration_id: str) -> None:
        super().__init__("this integration is switched off", integrationId=integration_id)


class RefreshInProgressError(CredentialError):
    """Another worker is renewing the token and has not finished."""

    code = "integration/busy"
    retryable = True
    advice = "Repeat the call after the given time."

    def __init__(self, *, integration_id: str, retry_after: timedelta) -> None:
        super().__init__("the token is being renewed", retry_after=retry_after, integrationId=integration_id)


class OAuthError(CloudIntegrationsError):
    """The OAuth exchange did not end in a grant."""

    code = "integration/oauth-error"


class GrantRefusedError(OAuthError):
    """The provider, or one of our own checks, refused this grant."""

    advice = "Start the connection again."

    def __init__(self, *, reason: str, error_description: str | None = None) -> None:
        super().__init__("the authorization was refused", reason=reason)
        self.reason = reason
        self.error_description = error_description


class ProviderUnavailableError(OAuthError):
    """The provider did not answer, or its answer cannot be used."""

    retryable = True
    advice = "The provider has a problem; repeat the call later."

    def __init__(
        self,
        *,
        provider_id: str,
        reason: str = "unusable_answer",
        retry_after: timedelta | None = None,
        error_description: str | None = None,
        message: str = "the provider cannot be used right now",
    ) -> None:
        super().__init__(message, retry_after=retry_after, providerId=provider_id, reason=reason)
        self.reason = reason
        self.error_description = error_description


class ProviderUnreachableError(ProviderUnavailableError):
    """The request was never received: refused, not resolved, not allowed, or no connection in time."""

    def __init__(self, *, provider_id: str, reason: str = "unreachable", retry_after: timedelta | None = None) -> None:
        super().__init__(provider_id=provider_id, reason=reason, retry_after=retry_after)


class AnswerLostError(ProviderUnavailableError):
    """The request may have been received, but no whole answer came back.

    `connection_closed` says that the other side closed the connection, so that nothing can come any more.
    """

    def __init__(self, *, provider_id: str, connection_closed: bool = False) -> None:
        super().__init__(provider_id=provider_id, reason="answer_lost")
        self.connection_closed = connection_closed


class OAuthBackendError(ProviderUnavailableError):
    """The code that speaks with the provider made a mistake, and nothing was sent.

    `backend` is its name, and `error_description` says in which method and line, without the text of what it raised.
    """

    advice = "The operator must correct or replace the OAuth backend of this provider."

    def __init__(self, *, provider_id: str, backend: str, problem: str) -> None:
        message = f"the OAuth backend {backend} does not work"
        super().__init__(provider_id=provider_id, reason="backend_failed", error_description=f"{message}: {problem}", message=message)
        self.backend = backend


class AppMisconfiguredError(OAuthError):
    """The provider refuses the operator's own OAuth application; no tenant is at fault."""

    advice = "The operator must correct the client id, secret, redirect URI or scopes of this provider's application."

    def __init__(self, *, provider_id: str, reason: str, error_description: str | None = None) -> None:
        super().__init__("the application's registration with the provider is refused", providerId=provider_id, reason=reason)
        self.reason = reason
        self.error_description = error_description


class StorageUnavailableError(CloudIntegrationsError):
    """The database cannot be used right now; nothing was changed.

    `reason` says why, for the operator: what the driver's error means, or its class, and the database's own code.  It holds none of the
    driver's words, no parameter and no login; a traceback shows it as a note, an answer to a tenant does not.
    """

    code = "storage/unavailable"
    retryable = True
    advice = "Repeat the call later."

    def __init__(self, message: str = "the storage cannot be used right now", /, *, reason: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        if reason is not None:
            self.add_note(reason)


class CommitUnknownError(StorageUnavailableError):
    """The connection broke while committing: the change may or may not have been made."""

    def __init__(self, *, reason: str | None = None) -> None:
        super().__init__("the storage broke while committing", reason=reason)


class DamagedRowError(CloudIntegrationsError):
    """A row of the store cannot be read: it holds what this library never wrote.

    `table` and `row` say which, for the operator; what stands in it is not repeated.
    """

    advice = "The operator must restore this row from a backup, or delete it."

    def __init__(self, *, table: str, row: str) -> None:
        super().__init__(f"row {row} of {table} cannot be read: somebody has edited it", table=table, row=row)
        self.table = table
        self.row = row


class UnstorableValueError(CloudIntegrationsError):
    """The store cannot keep a value: it is too long, or its parts do not belong together; nothing was changed.

    Whoever called has a mistake in their program: what people enter is checked before it comes here.
    """

    def __init__(self) -> None:
        super().__init__("the storage cannot keep this value")


class CredentialFormError(CloudIntegrationsError):
    """A credential was asked for in a form that its provider does not take; `fits` says which it does.

    `form` and `fits` are methods of `Credential`: `headers`, `params`, `basic`.
    """

    advice = "Call a method that fits, or `auth()`, which always does."

    def __init__(self, *, form: CredentialForm, fits: tuple[CredentialForm, ...]) -> None:
        known = " and ".join(f"{each}()" for each in fits) or "nothing that the catalogue still describes: values() has the parts"
        super().__init__(f"this provider does not take {form}(); it takes {known}", form=form, fits=list(fits))
        self.form = form
        self.fits = fits


class StaleWriteError(CloudIntegrationsError):
    """The row is no longer as the change expected; nothing was changed."""

    def __init__(self) -> None:
        super().__init__("somebody else changed this first")


class KeyServiceUnavailableError(StorageUnavailableError):
    """The service that wraps the data keys did not answer, so what is stored cannot be opened; nothing was changed."""

    def __init__(self, *, reason: str | None = None) -> None:
        super().__init__("the key service cannot be used right now", reason=reason)


class KeyRetiredError(CloudIntegrationsError):
    """The data key that sealed these values is no longer the tenant's active one; nothing was changed."""

    def __init__(self) -> None:
        super().__init__("the data key was replaced meanwhile")


class SetupError(CloudIntegrationsError):
    """The installation is not usable; found at start."""


class ConfigurationError(SetupError):
    """A setting is missing or contradicts another."""

    def __init__(self, *, setting: str, problem: str) -> None:
        super().__init__(f"{setting} {problem}", setting=setting)
        self.setting = setting


class SchemaError(SetupError):
    """The database has no tables of ours, or not this version's."""

    advice = "Run `cloud-integrations db upgrade`."

    def __init__(self, *, found: str | None, expected: str) -> None:
        super().__init__(f"the database schema is {found or 'not there'}, expected {expected}", found=found, expected=expected)


class KeyringError(SetupError):
    """A key-encryption key is missing, or is not the key it was."""

    advice = "Give back the key under the same key id; sealed values cannot be opened without it."

    def __init__(self, *, key_id: str, problem: str) -> None:
        super().__init__(f"key {key_id} {problem}", keyId=key_id)


class SealingError(CloudIntegrationsError):
    """A value cannot be sealed."""

    def __init__(self, message: str = "the value cannot be sealed", /) -> None:
        super().__init__(message)


class DecryptError(SealingError):
    """A sealed value does not open: one text for every reason."""

    def __init__(self) -> None:
        super().__init__("the sealed value does not open")


_HTTP_STATUS: Mapping[type[CloudIntegrationsError], int] = MappingProxyType(
    {
        ValidationFailedError: 422,
        ForbiddenError: 403,
        TenantNotFoundError: 404,
        ProviderNotFoundError: 404,
        ProviderInactiveError: 409,
        IntegrationNotFoundError: 404,
        IntegrationExistsError: 409,
        InvalidCredentialsError: 422,
        ReconnectRequiredError: 409,
        IntegrationInactiveError: 409,
        RefreshInProgressError: 503,
        GrantRefusedError: 400,
        ProviderUnavailableError: 502,
        AppMisconfiguredError: 502,
        StorageUnavailableError: 503,
    }
)


def http_status(error: BaseException, /) -> int:
    """Return the HTTP status (RFC 9110 §15) to answer *error* with; a subclass has its parent's.

    500 for whatever callers have no part in: setup, keys, damaged rows, and every error that is not of this library.  Tell the caller
    nothing of those.  Of all others, `code`, `message`, `details` and `advice` may be shown.
    """
    return next((_HTTP_STATUS[kind] for kind in type(error).__mro__ if kind in _HTTP_STATUS), 500)
