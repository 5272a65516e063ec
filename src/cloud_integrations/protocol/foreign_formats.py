"""The forms of keys of providers that have no file here; a file has `formats`, which `builtin_formats` repeats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from cloud_integrations.domain.provider.key_formats import Checksum


class FormatRow(NamedTuple):
    """A `KeyFormat` and the provider that it is of, as plain data: the redaction of logs loads no provider file."""

    owner: str
    name: str
    prefixes: tuple[str, ...]
    rest: str
    checksum: Checksum | None = None


ELSEWHERE: Final = (
    FormatRow("Atlassian", "API token", ("ATATT3", "ATCTT3"), r"[\w=-]{20,300}"),
    FormatRow("Dropbox", "access token", ("sl.",), r"(?:u\.)?[\w=-]{130,2000}"),
    FormatRow("Grafana Cloud", "token", ("glc_",), "[A-Za-z0-9+/]{32,400}={0,3}"),
    FormatRow("Terraform", "token", (), r"[A-Za-z0-9]{14}\.atlasv1\.[\w=-]{60,70}"),
    FormatRow("HubSpot", "token", ("pat-na1-", "pat-na2-", "pat-eu1-", "pat-ap1-"), "[A-Za-z0-9]{8}(?:-[A-Za-z0-9]{4}){3}-[A-Za-z0-9]{12}"),
    FormatRow("Hugging Face", "token", ("hf_",), "[A-Za-z]{34}"),
    FormatRow("Linear", "API key", ("lin_api_",), "[A-Za-z0-9]{40}"),
    FormatRow("Notion", "token", ("ntn_",), "[A-Za-z0-9]{40,50}"),
    FormatRow("npm", "token", ("npm_",), "[A-Za-z0-9]{36}", "crc32_base62"),
    FormatRow("PyPI", "token", ("pypi-",), r"[\w-]{50,1000}"),
    FormatRow("Salesforce", "access token", (), r"00[A-Za-z0-9]{13}![\w.]{80,500}"),
    FormatRow("Shopify", "token", ("shpat_", "shpca_", "shppa_", "shpss_"), "[a-fA-F0-9]{32}"),
    FormatRow("Supabase", "secret key", ("sb_secret_",), r"\w{20,100}"),
    FormatRow("Supabase", "token", ("sbp_",), "(?:oauth_)?[a-f0-9]{40}"),
    FormatRow("Vault", "token", ("hvb.", "hvr.", "hvs."), r"[\w-]{20,300}"),
)
