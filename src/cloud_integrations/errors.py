"""Everything that can go wrong, as a tree.

    CloudIntegrationsError
    ├── ValidationFailedError            an argument is not valid; `field` and `problem` say which and why
    ├── ForbiddenError                   the actor may not do this
    ├── TooManyRequestsError             an actor, a tenant or an address came too often; repeat the call after `retry_after`
    ├── TenantNotFoundError
    ├── ProviderNotFoundError
    ├── ProviderInactiveError
    ├── IntegrationNotFoundError         missing, or another tenant's: the same answer
    ├── IntegrationExistsError           the tenant already has one with this provider, in this slot
    ├── SessionNotFoundError             missing, or another tenant's: the same answer
    ├── WebhookNotFoundError             missing, or another tenant's: the same answer
    ├── SessionRefusedError              the session of an agent does not allow this request
    ├── FreezeNotFoundError
    ├── IncidentNotFoundError
    ├── IncidentNotApprovedError
    ├── KeyRotationError                 the key's rotation is not in a state for this: `reason` says which
    ├── InvalidCredentialsError          the provider refused the key
    ├── CredentialError                  no working credential can be handed out now; raised as one of these:
    │   ├── ReconnectRequiredError       the tenant must connect again
    │   ├── IntegrationInactiveError     the integration is disabled
    │   ├── IntegrationFrozenError       an operator has stopped the use of this credential
    │   ├── ResourceNotChosenError       the tenant must choose a resource first, and this needs it
    │   └── RefreshInProgressError       another worker is renewing the credential; repeat the call soon
    ├── OAuthError
    │   ├── GrantRefusedError            the provider, or a check of this library, refused the grant
    │   ├── ProviderUnavailableError     the provider did not answer, or its answer cannot be used
    │   │   ├── ProviderUnreachableError the provider did not receive the request
    │   │   ├── AnswerLostError          the provider may have received the request, but its answer was lost
    │   │   ├── NotNarrowedError         the provider gave more than a narrowed credential may be
    │   │   └── OAuthBackendError        the OAuth backend of this provider made a mistake
    │   └── AppMisconfiguredError        the provider refuses the operator's OAuth application; no tenant is at fault
    ├── StorageUnavailableError
    │   ├── CommitUnknownError           the connection broke during a commit
    │   └── KeyServiceUnavailableError   the service that wraps the data keys did not answer
    ├── DamagedRowError                  a row of the store was edited and can no longer be read
    ├── UnstorableValueError             a value is too long, or its parts contradict each other: a mistake in the program
    ├── CredentialFormError              the provider does not take the credential in this form: a mistake in the program
    ├── StaleWriteError                  another writer changed the row first (between flows and stores only)
    ├── KeyRetiredError                  the data key was replaced meanwhile (between flows and stores only)
    ├── SealingError                     a value cannot be sealed
    │   └── DecryptError                 a sealed value does not open; one class and one text for every reason
    └── SetupError                       found at start, before anything is lost
        ├── ConfigurationError
        ├── SchemaError                  the database is not migrated
        └── KeyringError                 a key is missing, or another key has its id

Each class has a stable `code`; `retryable` says whether repeating the call can help, `retry_after` when to repeat it, and `advice`
what a person can do.  `details` holds public facts only.  No message repeats a secret, a code, a token or a provider's text.

The provider's own error text is in `error_description` of `ReconnectRequiredError`, `GrantRefusedError`,
`ProviderUnavailableError` and `AppMisconfiguredError`: at most 512 printable characters, without the secrets that were sent, or
None.  Write it to the operator's log only.  The provider chose the text and it may be hostile, so do not show it to a tenant.

`http_status` returns the HTTP status of each class.

Errors can be pickled and copied, and so can subclasses with arguments of their own: class, text, attributes and notes are kept.
`__cause__` and the traceback are not, as with every Python exception.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any, ClassVar, Final, Literal

__all__ = [
    "AnswerLostError",
    "AppMisconfiguredError",
    "ApplicationInUseError",
    "ApplicationNotFoundError",
    "ApplicationReason",
    "CloudIntegrationsError",
    "CommitUnknownError",
    "ConfigurationError",
    "CredentialError",
    "CredentialForm",
    "CredentialFormError",
    "DamagedRowError",
    "DecryptError",
    "ForbiddenError",
    "FreezeNotFoundError",
    "GrantRefusedError",
    "IncidentNotApprovedError",
    "IncidentNotFoundError",
    "IntegrationExistsError",
    "IntegrationFrozenError",
    "IntegrationInactiveError",
    "IntegrationNotFoundError",
    "InvalidCredentialsError",
    "KeyRetiredError",
    "KeyRotationError",
    "KeyServiceUnavailableError",
    "KeyringError",
    "NotNarrowedError",
    "OAuthBackendError",
    "OAuthError",
    "ProviderInactiveError",
    "ProviderNotFoundError",
    "ProviderUnavailableError",
    "ProviderUnreachableError",
    "ReconnectReason",
    "ReconnectRequiredError",
    "RefreshInProgressError",
    "ResourceNotChosenError",
    "RotationReason",
    "SchemaError",
    "SealingError",
    "SessionNotFoundError",
    "SessionRefusal",
    "SessionRefusedError",
    "SetupError",
    "StaleWriteError",
    "StorageUnavailableError",
    "TenantNotFoundError",
    "TooManyRequestsError",
    "TrustTooOpenError",
    "UnstorableValueError",
    "ValidationFailedError",
    "WebhookNotFoundError",
    "http_status",
]

CredentialForm = Literal["headers", "params", "basic", "digest", "sign", "ssl_context", "auth"]
ReconnectReason = Literal[
    "revoked", "interaction_required", "refused_for_days", "rotation_lost", "expired", "refused", "revoked_by_operator"
]
"""Why a tenant must connect again; docs/how-to/handle-errors.md says what each word means."""
RotationReason = Literal["open", "none", "replaced", "sent", "refused", "answer_lost", "superseded"]
"""Why a call about the rotation of a key cannot be carried out; `KeyRotationError` says what each word means."""
ApplicationReason = Literal[
    "invalid_client",
    "unauthorized_client",
    "client_refused",
    "clock_skew",
    "platform_config",
    "signing_key",
    "no_usable_application",
    "application_changed",
    "server_metadata",
]
"""Why the operator must act: the provider refuses the application, or it is no longer the one that the grant was issued to."""
"""How a credential can be sent, by the methods of `Credential`."""

SessionRefusal = Literal["ended", "revoked", "host", "method", "scheme", "provider", "not_approved", "password", "request"]
"""Why a session of an agent does not allow a request; docs/how-to/let-an-agent-act.md says what each word means."""


_NO_RESOURCE: Final = "the account reaches nothing at the provider that could be connected"


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
        # The copy is made from the attributes and not by `__init__`, whose arguments differ from class to class, in hosts too.
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
    """An argument or a field of a request is not valid: `field` names it, `problem` says why."""

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


class TooManyRequestsError(CloudIntegrationsError):
    """An actor, a tenant or an address used a door of the host too often; `use` says which door."""

    code = "request/too-many"
    retryable = True
    advice = "Wait as long as the answer says, then try again."

    def __init__(self, *, use: str, retry_after: timedelta) -> None:
        super().__init__("too many requests", retry_after=retry_after, use=use)
        self.use = use


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
    """The provider is in the catalogue, but it is disabled or not configured in this installation."""

    code = "provider/inactive"
    advice = "The operator must configure or enable this provider."

    def __init__(self, *, provider_id: str, problem: str = "is not active") -> None:
        super().__init__(f"the provider {problem}", providerId=provider_id)


class IntegrationNotFoundError(CloudIntegrationsError):
    """The tenant has no such integration.  An integration of another tenant gives the same error."""

    code = "integration/not-found"

    def __init__(self) -> None:
        super().__init__("no such integration")


class IntegrationExistsError(CloudIntegrationsError):
    """The tenant already has an integration with this provider, in the slot that was named."""

    code = "integration/already-exists"
    advice = "Reconnect the existing integration, or delete it first."

    def __init__(self, *, tenant_id: str, provider_id: str, slot: str = "") -> None:
        message = "this tenant already has an integration with this provider" + (" in this slot" if slot else "")
        super().__init__(message, tenantId=tenant_id, providerId=provider_id)
        if slot:
            self.details["slot"] = slot


class KeyRotationError(CloudIntegrationsError):
    """The rotation of an integration's key is not in a state for this call; `reason` says which.

    `open`: a rotation is open already.  `none`: none is open.  `replaced`: a reconnect has replaced the new key, so there is no way back.
    Where the provider makes the new key: `sent`: it is being asked, or the process that asked has ended.  `refused`: it makes none for
    this key.  `answer_lost`: it was asked and its answer could not be read, so it may have made one that nobody knows.  `superseded`: the
    stored key was replaced while it was asked.
    """

    code = "integration/key-rotation"
    advice = "Finish or cancel the rotation that is open; begin one if none is."
    _WHY: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "open": "the key of this integration is being rotated already",
            "none": "no rotation of this integration's key is open",
            "replaced": "a reconnect has replaced the new key, so there is no way back to the old one",
            "sent": "the provider is being asked for a new key, or the process that asked it has ended",
            "refused": "the provider makes no new key for this one: it may lack the right to make keys, or there are too many already",
            "answer_lost": "the provider was asked for a new key, and its answer was lost: there may be a key that nobody knows",
            "superseded": "the key of this integration was replaced while the provider made a new one",
        }
    )

    def __init__(self, *, integration_id: str, reason: RotationReason) -> None:
        super().__init__(self._WHY[reason], integrationId=integration_id, reason=reason)
        self.reason = reason


class ApplicationNotFoundError(CloudIntegrationsError):
    """The tenant has registered no such OAuth application.  One of another tenant gives the same error."""

    code = "application/not-found"

    def __init__(self) -> None:
        super().__init__("no such application")


class WebhookNotFoundError(CloudIntegrationsError):
    """There is no such webhook.  One of another tenant gives the same error."""

    code = "webhook/not-found"

    def __init__(self) -> None:
        super().__init__("no such webhook")


class ApplicationInUseError(CloudIntegrationsError):
    """A grant that was issued to this application could not be renewed or revoked without it."""

    code = "application/in-use"
    advice = "Remove the integrations that were connected with it first, and wait until their tokens are revoked."

    def __init__(self, *, application_id: str) -> None:
        super().__init__("a grant still needs this application", applicationId=application_id)


class SessionNotFoundError(CloudIntegrationsError):
    """The tenant has no such session.  One of another tenant gives the same error."""

    code = "session/not-found"

    def __init__(self) -> None:
        super().__init__("no such session")


class SessionRefusedError(CloudIntegrationsError):
    """The session does not allow this request, so no credential was attached; `reason` says why."""

    code = "session/refused"
    advice = "Open a session that allows the request, if it should be made."
    _WHY: ClassVar[Mapping[SessionRefusal, str]] = MappingProxyType(
        {
            "ended": "the session has ended",
            "revoked": "the session was revoked",
            "host": "the session does not allow this host",
            "method": "the session does not allow this HTTP method",
            "scheme": "a credential is sent with https only",
            "provider": "the session does not say which credential this is",
            "not_approved": "nobody approved this request",
            "password": "the request came from another process than the agent's",
            "request": "the request is malformed, or of a kind that is not passed on",
        }
    )

    def __init__(self, *, session_id: str, reason: SessionRefusal) -> None:
        super().__init__(self._WHY.get(reason, "the session does not allow this request"), sessionId=session_id, reason=reason)
        self.reason = reason


class FreezeNotFoundError(CloudIntegrationsError):
    """There is no such freeze."""

    code = "freeze/not-found"

    def __init__(self) -> None:
        super().__init__("no such freeze")


class IncidentNotFoundError(CloudIntegrationsError):
    """There is no such incident."""

    code = "incident/not-found"

    def __init__(self) -> None:
        super().__init__("no such incident")


class IncidentNotApprovedError(CloudIntegrationsError):
    """Nobody else has approved the revocation of an incident within a day, and the settings ask for that (`four_eyes`)."""

    code = "incident/not-approved"
    advice = "Have another person approve the incident, then try again."

    def __init__(self, *, incident_id: str) -> None:
        super().__init__("nobody but you has approved this incident", incidentId=incident_id)


class InvalidCredentialsError(CloudIntegrationsError):
    """The provider refused the key that was entered; `reason` says how."""

    code = "integration/invalid-credentials"
    advice = "Check the key at the provider and enter it again."

    _WHY: ClassVar[Mapping[str, str]] = MappingProxyType({"no_resource": _NO_RESOURCE})

    def __init__(self, *, provider_id: str, reason: str = "refused") -> None:
        super().__init__(self._WHY.get(reason, "the provider refused these credentials"), providerId=provider_id, reason=reason)
        self.reason = reason


class TrustTooOpenError(InvalidCredentialsError):
    """The access works without what proves that it is meant for this tenant, so it was not connected; `mend` says what to correct."""

    advice = "Correct the trust at the provider as the message says, and connect it again."

    def __init__(self, *, provider_id: str, mend: str) -> None:
        super().__init__(provider_id=provider_id, reason="trust_too_open")
        self.message = f"the provider gives this access to others, too: {mend}" if mend else "the provider gives this access to others, too"
        self.args = (self.message,)
        self.mend = mend


class CredentialError(CloudIntegrationsError):
    """No working credential can be handed out now."""


class ReconnectRequiredError(CredentialError):
    """The tenant must connect again; nothing else repairs this integration.  `reason` says why."""

    code = "integration/reconnect-required"
    advice = "Ask the tenant to reconnect this integration."

    def __init__(self, *, integration_id: str, reason: ReconnectReason, error_description: str | None = None) -> None:
        super().__init__("the tenant must reconnect this integration", integrationId=integration_id, reason=reason)
        self.reason = reason
        self.error_description = error_description


class IntegrationInactiveError(CredentialError):
    """The integration is disabled."""

    code = "integration/inactive"
    advice = "Enable the integration to use it again."

    def __init__(self, *, integration_id: str) -> None:
        super().__init__("this integration is switched off", integrationId=integration_id)


class IntegrationFrozenError(CredentialError):
    """An operator has stopped the use of this credential, because of an incident; it is handed out again when the freeze is lifted."""

    code = "integration/frozen"
    advice = "Wait until the operator lifts the freeze; repeating the call does not help."

    def __init__(self, *, integration_id: str, freeze_id: str) -> None:
        super().__init__("the use of this integration is frozen", integrationId=integration_id, freezeId=freeze_id)


class ResourceNotChosenError(CredentialError):
    """The credential works, and reaches several resources of which the tenant has not chosen one; what was asked needs it.

    `variable` is the name of the provider's variable that the choice gives.
    """

    code = "integration/resource-not-chosen"
    advice = "Show the tenant what `resources` lists, and give the choice to `choose_resource`."

    def __init__(self, *, integration_id: str, variable: str) -> None:
        super().__init__("the tenant must choose a resource of this integration first", integrationId=integration_id, variable=variable)
        self.variable = variable


class RefreshInProgressError(CredentialError):
    """Another worker is renewing the token and has not finished; repeat the call after `retry_after`."""

    code = "integration/busy"
    retryable = True
    advice = "Repeat the call after the given time."

    def __init__(self, *, integration_id: str, retry_after: timedelta) -> None:
        super().__init__("the token is being renewed", retry_after=retry_after, integrationId=integration_id)


class OAuthError(CloudIntegrationsError):
    """The OAuth exchange did not end in a grant."""

    code = "integration/oauth-error"


class GrantRefusedError(OAuthError):
    """The provider, or one of this library's checks, refused the grant; `reason` says why."""

    advice = "Start the connection again."
    _WHY: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "installation_requested": "the installation waits for an owner of the organization, who must agree at the provider first",
            "installation_missing": "the provider named no installation",
            "installation_not_yours": "the installation is none of those that the provider lists for the person who signed in",
            "installation_refused": "the provider gives no access to the installation: it is suspended, removed, or was never agreed to",
            "no_resource": _NO_RESOURCE,
            "resource_not_reached": "the account that was connected does not reach the resource that was named",
        }
    )
    """The sentences of reasons that a person can act on."""

    def __init__(self, *, reason: str, error_description: str | None = None) -> None:
        super().__init__(self._WHY.get(reason, "the authorization was refused"), reason=reason)
        self.reason = reason
        self.error_description = error_description


class ProviderUnavailableError(OAuthError):
    """The provider did not answer, or its answer cannot be used; `reason` says which."""

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
    """The provider did not receive the request.

    The connection was refused or not made in time, the host name did not resolve, or the address is not allowed.
    """

    def __init__(self, *, provider_id: str, reason: str = "unreachable", retry_after: timedelta | None = None) -> None:
        super().__init__(provider_id=provider_id, reason=reason, retry_after=retry_after)


class AnswerLostError(ProviderUnavailableError):
    """The provider may have received the request, but no complete answer came back.

    `connection_closed` says that the other side closed the connection, so that no answer can follow.
    """

    def __init__(self, *, provider_id: str, connection_closed: bool = False) -> None:
        super().__init__(provider_id=provider_id, reason="answer_lost")
        self.connection_closed = connection_closed


class NotNarrowedError(ProviderUnavailableError):
    """The provider gave more than a narrowed credential may be, or did not say what it gave, so it is not handed out.

    `name` is what it was to be narrowed by.
    """

    retryable = False
    advice = "The provider does not narrow this credential; ask for the whole one, or use another provider's method."

    def __init__(self, *, provider_id: str, name: str) -> None:
        message = f"the provider did not narrow the credential by {name}"
        super().__init__(provider_id=provider_id, reason="not_narrowed", message=message)
        self.name = name


class OAuthBackendError(ProviderUnavailableError):
    """The OAuth backend of this provider raised an error, or returned a value that may not be used.

    Nothing was sent, unless the backend failed to read the answer to a revocation.  `backend` is its name.  `error_description`
    names the method and the line, without the text of the backend's own error.
    """

    advice = "The operator must correct or replace the OAuth backend of this provider."

    def __init__(self, *, provider_id: str, backend: str, problem: str) -> None:
        message = f"the OAuth backend {backend} does not work"
        super().__init__(provider_id=provider_id, reason="backend_failed", error_description=f"{message}: {problem}", message=message)
        self.backend = backend


class AppMisconfiguredError(OAuthError):
    """The provider refuses the OAuth application, the operator's or the tenant's own; no grant is at fault.

    With the reason `signing_key` nothing was sent: the signing key of our own issuer is missing, or may not be used.  With the reason
    `server_metadata` the server's own metadata may not be used (RFC 8414 §3.3): it is of another issuer, or an endpoint is elsewhere.
    """

    advice = (
        "The operator, or the tenant whose own application it is, must correct its client id, secret, redirect URI or scopes; "
        "or the operator must correct the signing key."
    )

    def __init__(self, *, provider_id: str, reason: ApplicationReason, error_description: str | None = None) -> None:
        messages = {
            "signing_key": "the signing key of our own issuer may not be used",
            "server_metadata": "the authorization server's metadata may not be used",
        }
        message = messages.get(reason, "the application's registration with the provider is refused")
        super().__init__(message, providerId=provider_id, reason=reason)
        self.reason = reason
        self.error_description = error_description


class StorageUnavailableError(CloudIntegrationsError):
    """The database cannot be used right now; nothing was changed.

    `reason` tells the operator why: the meaning or the class of the driver's error, and the database's own error code.  It holds no
    text of the driver, no parameter and no login.  A traceback shows it as a note; it is not part of `message` or `details`.
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
    """The connection broke during a commit: the change may or may not have been made."""

    def __init__(self, *, reason: str | None = None) -> None:
        super().__init__("the connection to the storage broke during a commit", reason=reason)


class DamagedRowError(CloudIntegrationsError):
    """A row of the store cannot be read, because its content was not written by this library.

    `table` and `row` tell the operator which row it is.  The content is not repeated.
    """

    advice = "The operator must restore this row from a backup, or delete it."

    def __init__(self, *, table: str, row: str) -> None:
        super().__init__(f"row {row} of {table} cannot be read, because it was edited", table=table, row=row)
        self.table = table
        self.row = row


class UnstorableValueError(CloudIntegrationsError):
    """The store cannot keep a value, because it is too long or its parts contradict each other; nothing was changed.

    The calling program has a mistake: values that people enter are checked before they reach the store.
    """

    def __init__(self) -> None:
        super().__init__("the storage cannot keep this value")


class CredentialFormError(CloudIntegrationsError):
    """A method of `Credential` was called that does not fit the provider.

    `form` is the method that was called, `fits` are the methods that can be called.
    """

    advice = "Call a method that fits; `fits` lists them."

    def __init__(self, *, form: CredentialForm, fits: tuple[CredentialForm, ...]) -> None:
        known = " and ".join(f"{each}()" for each in fits) or "nothing that the catalogue still describes: values() has the parts"
        super().__init__(f"this provider does not take {form}(); it takes {known}", form=form, fits=list(fits))
        self.form = form
        self.fits = fits


class StaleWriteError(CloudIntegrationsError):
    """Another writer changed the row since it was read; nothing was changed."""

    def __init__(self) -> None:
        super().__init__("another writer changed this first")


class KeyServiceUnavailableError(StorageUnavailableError):
    """The service that wraps the data keys, or signs for our own issuer, did not answer; nothing was changed."""

    def __init__(self, *, reason: str | None = None) -> None:
        super().__init__("the key service cannot be used right now", reason=reason)


class KeyRetiredError(CloudIntegrationsError):
    """The data key that sealed these values is no longer the tenant's active one; nothing was changed."""

    def __init__(self) -> None:
        super().__init__("the data key was replaced meanwhile")


class SetupError(CloudIntegrationsError):
    """The installation cannot be used; raised at start."""


class ConfigurationError(SetupError):
    """A setting is missing or not valid, or it contradicts another; `setting` names it."""

    def __init__(self, *, setting: str, problem: str) -> None:
        super().__init__(f"{setting} {problem}", setting=setting)
        self.setting = setting


class SchemaError(SetupError):
    """The database does not have this library's tables, or has those of another version."""

    advice = "Run `cloud-integrations db upgrade`."

    def __init__(self, *, found: str | None, expected: str) -> None:
        super().__init__(f"the database schema is {found or 'not there'}, expected {expected}", found=found, expected=expected)


class KeyringError(SetupError):
    """A key-encryption key is missing or may not be used, or another key now has its id."""

    advice = "Provide the key under the same key id again; sealed values cannot be opened without it."

    def __init__(self, *, key_id: str, problem: str) -> None:
        super().__init__(f"key {key_id} {problem}", keyId=key_id)


class SealingError(CloudIntegrationsError):
    """A value cannot be sealed."""

    def __init__(self, message: str = "the value cannot be sealed", /) -> None:
        super().__init__(message)


class DecryptError(SealingError):
    """A sealed value does not open.  The text is the same for every reason."""

    def __init__(self) -> None:
        super().__init__("the sealed value does not open")


_HTTP_STATUS: Mapping[type[CloudIntegrationsError], int] = MappingProxyType(
    {
        ValidationFailedError: 422,
        ForbiddenError: 403,
        TooManyRequestsError: 429,
        TenantNotFoundError: 404,
        ProviderNotFoundError: 404,
        ProviderInactiveError: 409,
        IntegrationNotFoundError: 404,
        IntegrationExistsError: 409,
        KeyRotationError: 409,
        ApplicationNotFoundError: 404,
        WebhookNotFoundError: 404,
        ApplicationInUseError: 409,
        SessionNotFoundError: 404,
        SessionRefusedError: 403,
        FreezeNotFoundError: 404,
        IncidentNotFoundError: 404,
        IncidentNotApprovedError: 403,
        InvalidCredentialsError: 422,
        ReconnectRequiredError: 409,
        IntegrationInactiveError: 409,
        IntegrationFrozenError: 423,
        ResourceNotChosenError: 409,
        RefreshInProgressError: 503,
        GrantRefusedError: 400,
        ProviderUnavailableError: 502,
        AppMisconfiguredError: 502,
        StorageUnavailableError: 503,
    }
)


def http_status(error: BaseException, /) -> int:
    """Return the HTTP status (RFC 9110 §15) to answer *error* with; a subclass has the status of its parent.

    Errors that the client cannot correct have 500: setup, keys, damaged rows, and every error of another library.  Show the client
    no details of those.  Of all other errors, `code`, `message`, `details` and `advice` may be shown.
    """
    return next((_HTTP_STATUS[kind] for kind in type(error).__mro__ if kind in _HTTP_STATUS), 500)
