"""AWS Signature Version 4, by botocore, which is imported when the first request is signed.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html and, for S3,
https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from cloud_integrations.domain.secret import Secret
from cloud_integrations.domain.signing import Signed, Unsigned
from cloud_integrations.errors import ConfigurationError

from .canonical import read_url, replace_headers, sha256_hex
from .needs import Needs

_NEEDS = Needs(
    name="aws4",
    parts=("access_key_id", "secret_access_key"),
    optional_parts=("session_token",),
    options=("service", "region"),
)
_S3 = frozenset({"s3", "s3-object-lambda", "s3-outposts"})
# OpenSearch Serverless wants the hash of the body as a header too.
_HASH_IN_HEADER = _S3 | {"aoss"}
_OWN = frozenset({"authorization", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"})


class Aws4:
    """Signs the method, the URL, the body and the headers, but for those that proxies change (`user-agent` …).  Implements `Signer`."""

    __slots__ = ()

    def problems(self, options: Mapping[str, str], parts: Collection[str], /) -> Iterable[str]:
        """See `Signer.problems`."""
        return _NEEDS.problems(options, parts)

    def sign(self, request: Unsigned, /, *, parts: Mapping[str, Secret], options: Mapping[str, str], now: datetime, nonce: bytes) -> Signed:  # noqa: ARG002  # this signature has no nonce
        """See `Signer.sign`."""
        values = _NEEDS.read(options, parts)
        service = values["service"]
        # S3 decodes the path once and signs it so; other services sign the path that is sent, encoded once more.
        url = read_url(request.url).encoded(slashes=service in _S3)
        timestamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        own = {"Host": url.host, "X-Amz-Date": timestamp}
        if values["session_token"]:
            own["X-Amz-Security-Token"] = values["session_token"]
        if service in _HASH_IN_HEADER:
            own["X-Amz-Content-SHA256"] = sha256_hex(request.body)
        headers = replace_headers(request.headers, own, without=_OWN)
        headers["Authorization"] = _authorize(Unsigned(method=request.method, url=str(url), headers=headers, body=request.body), values)
        return Signed(url=str(url), headers=headers)


def _authorize(request: Unsigned, values: Mapping[str, str]) -> str:
    try:
        from botocore.auth import S3SigV4Auth, SigV4Auth  # noqa: PLC0415  # an extra
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415
        from botocore.credentials import Credentials  # noqa: PLC0415
    except ImportError as error:
        problem = "needs the extra aws: pip install 'cloud-integrations[aws]'"
        raise ConfigurationError(setting="the signature aws4", problem=problem) from error

    signing = S3SigV4Auth if values["service"] in _S3 else SigV4Auth
    auth: Any = signing(Credentials(values["access_key_id"], values["secret_access_key"]), values["service"], values["region"])
    prepared = AWSRequest(method=request.method, url=request.url, headers=dict(request.headers), data=request.body)
    # `add_auth` would read the clock and set this; the methods below are its other steps.
    prepared.context["timestamp"] = dict(request.headers)["X-Amz-Date"]
    signature = auth.signature(auth.string_to_sign(prepared, auth.canonical_request(prepared)), prepared)
    covered = auth.signed_headers(auth.headers_to_sign(prepared))
    return f"AWS4-HMAC-SHA256 Credential={auth.scope(prepared)}, SignedHeaders={covered}, Signature={signature}"
