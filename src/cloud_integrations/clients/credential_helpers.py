"""Credential helpers: what AWS's SDKs, git, docker and kubectl read from a program that they call for a credential.

Sources: https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html, https://git-scm.com/docs/git-credential,
https://github.com/docker/docker-credential-helpers, https://kubernetes.io/docs/reference/config-api/client-authentication.v1/.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable
from datetime import UTC
from typing import Any, Final, Literal, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

from cloud_integrations.domain.credential import Credential
from cloud_integrations.domain.provider import Login, Programs, places
from cloud_integrations.errors import ValidationFailedError

from .aws_endpoint import keys_document
from .source import CredentialSource, Manager

T = TypeVar("T")

GitOperation = Literal["get", "store", "erase"]
DockerOperation = Literal["get", "store", "erase", "list"]

_NOT_FOUND: Final = "credentials not found in native keychain"
"""What docker takes for an answer, and not for a failure."""
_KEEPS_NOTHING: Final = "this helper keeps nothing: integrations are connected and deleted with cloud-integrations"
_EXEC_VERSION: Final = "client.authentication.k8s.io/v1"
_AUTHORITY: Final = re.compile(r"([A-Za-z0-9.-]+)(?::([0-9]{1,5}))?")
_PEM: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----", re.DOTALL)


def aws_process_credential(manager: Manager, tenant_id: str, provider: str | UUID = "aws", *, slot: str = "") -> dict[str, object]:
    """Return the document that AWS's SDKs read from a `credential_process`.

    *provider* and *slot* are as in `IntegrationManager.credential`.  An access key has no end, and is asked for again after 20 minutes.
    Raises as `IntegrationManager.credential`, and `ValidationFailedError` if the provider has no access keys of AWS.
    """
    keys = keys_document(CredentialSource(manager=manager, tenant_id=tenant_id, integration=provider, slot=slot))
    token = keys.pop("Token")
    return {"Version": 1, **keys, **({"SessionToken": token} if token else {})}


def git_credential(manager: Manager, tenant_id: str, provider: str | UUID, operation: GitOperation, request: str, *, slot: str = "") -> str:
    """Return what git reads from a credential helper; empty: this helper has nothing for the server, or nothing is to be said.

    *request* is what git wrote: lines of `name=value`.  Only the provider's servers get an answer, over HTTPS alone, and for no other user
    than its own.  `store` does nothing.  `erase` says that the server refused a password: if it is the one that is handed out now, it is
    replaced once.
    Raises as `IntegrationManager.credential`, for `erase` as its `replace_refused`, and `ValidationFailedError` if the provider's file
    says nothing of git.
    """
    if operation == "store":
        return ""
    # Only a line feed ends a value for git: what else looks like the end of a line may be part of a path that a stranger chose.
    pairs = [line.partition("=") for line in request.split("\n")]
    asked = {name: value for name, _, value in pairs}
    source = CredentialSource(manager=manager, tenant_id=tenant_id, integration=provider, slot=slot)
    credential = source.credential()
    login = _require(credential, "git", lambda programs: programs.git)
    host = _host_of(asked.get("host", ""))
    if asked.get("protocol") != "https" or host is None or not login.serves(host, credential.fill_in):
        return ""
    user, password = _login(login, credential)
    if asked.get("username", user) != user:
        return ""
    if operation == "erase":
        if hmac.compare_digest(asked.get("password", "").encode(), password.encode()):
            source.replace_refused(credential)
        return ""
    if not f"{user}{password}".isprintable():
        raise ValidationFailedError(field="credentials", problem="hold a line break, which ends a value for git")
    ends = [] if credential.expires_at is None else [f"password_expiry_utc={int(credential.expires_at.timestamp())}"]
    return "".join(f"{line}\n" for line in (f"username={user}", f"password={password}", *ends))


def docker_credential(
    manager: Manager, tenant_id: str, provider: str | UUID, operation: DockerOperation, request: str, *, slot: str = ""
) -> tuple[int, str]:
    """Return the exit code and the output of a credential helper of docker; what it has not is output, too.

    *request* is what docker wrote: the address of a registry.  Only the provider's registries get an answer, over HTTPS alone.  `list`
    names those whose address is fixed.  `store` and `erase` are refused, because docker has nothing to keep here.
    Raises as `IntegrationManager.credential`, and `ValidationFailedError` if the provider's file says nothing of docker; docker wants the
    message as output, with an exit code that is not 0.
    """
    if operation in ("store", "erase"):
        return 1, _KEEPS_NOTHING
    credential = CredentialSource(manager=manager, tenant_id=tenant_id, integration=provider, slot=slot).credential()
    login = _require(credential, "docker", lambda programs: programs.docker)
    user, password = _login(login, credential)
    if operation == "list":
        hosts = [credential.fill_in(host) for host in login.hosts if "*" not in host]
        # Of some providers the token is the user name, too, and lists are shown.
        return 0, json.dumps(dict.fromkeys((f"https://{host}" for host in hosts), "" if places(login.user) else user))
    host = _host_of(request.strip().removeprefix("https://").partition("/")[0])
    if host is None or not login.serves(host, credential.fill_in):
        return 1, _NOT_FOUND
    return 0, json.dumps({"ServerURL": request.strip(), "Username": user, "Secret": password})


def exec_credential(
    manager: Manager, tenant_id: str, provider: str | UUID = "kubernetes", *, slot: str = "", exec_info: str | None = None
) -> dict[str, Any]:
    """Return the `ExecCredential` that clients of Kubernetes read from a plugin: a bearer token, or a client certificate with its key.

    *exec_info* is the value of `KUBERNETES_EXEC_INFO`, if there is one.  If it names the cluster's server (`provideClusterInfo`) and the
    credential is for one server alone, they must be the same.
    Raises as `IntegrationManager.credential`, and `ValidationFailedError` for another version than v1, another server, and a provider
    whose credential no cluster takes.
    """
    server = _read_exec_info(exec_info)
    credential = CredentialSource(manager=manager, tenant_id=tenant_id, integration=provider, slot=slot).credential()
    cluster = _require(credential, "kubernetes", lambda programs: programs.kubernetes)
    only = None if cluster.server is None else credential.fill_in(cluster.server)
    if server is not None and only is not None and _origin_of(server) != _origin_of(only):
        raise ValidationFailedError(field="KUBERNETES_EXEC_INFO", problem="names another server than the one that the credential is for")
    status = _certificate(credential) or {"token": credential.value.reveal()}
    if credential.expires_at is not None:
        status["expirationTimestamp"] = f"{credential.expires_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return {"apiVersion": _EXEC_VERSION, "kind": "ExecCredential", "status": status}


def _require(credential: Credential, tool: str, read: Callable[[Programs], T | None]) -> T:
    found = None if credential.programs is None else read(credential.programs)
    if found is None:
        problem = f"says nothing of {tool} for this method; write it into its file (programs.{tool})"
        raise ValidationFailedError(field="provider", problem=problem)
    return found


def _login(login: Login, credential: Credential) -> tuple[str, str]:
    return credential.fill_in(login.user), credential.fill_in(login.password)


def _host_of(authority: str) -> str | None:
    """Return the host of an HTTPS URL's authority, with its port if that is not 443; None: it is none, or has more than these."""
    found = _AUTHORITY.fullmatch(authority)
    return None if found is None else found[1].lower() if found[2] in (None, "443") else f"{found[1].lower()}:{found[2]}"


def _origin_of(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def _read_exec_info(text: str | None) -> str | None:
    """Return the server that is named, if one is."""
    if not text:
        return None
    try:
        info = json.loads(text)
        version = info["apiVersion"]
        server: str | None = info.get("spec", {}).get("cluster", {}).get("server")
        _origin_of(server or "")
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ValidationFailedError(field="KUBERNETES_EXEC_INFO", problem="is no ExecCredential") from None
    if version != _EXEC_VERSION:
        raise ValidationFailedError(field="KUBERNETES_EXEC_INFO", problem=f"asks for another version than {_EXEC_VERSION}")
    return server


def _certificate(credential: Credential) -> dict[str, str]:
    pem = credential.client_certificate()
    if pem is None:
        return {}
    blocks = [(found[1], found[0]) for found in _PEM.finditer(pem.reveal())]
    return {
        "clientCertificateData": "\n".join(text for label, text in blocks if label == "CERTIFICATE") + "\n",
        "clientKeyData": "\n".join(text for label, text in blocks if label.endswith("PRIVATE KEY")) + "\n",
    }
