"""Provider files that would do harm are refused when they are loaded, with the file and the field."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloud_integrations import Catalogue
from cloud_integrations.errors import ConfigurationError

FILE = """id = "acme"
name = "Acme"
{top}
[[methods]]
id = "{id}"
kind = "key"
inputs = [{{ name = "token" }}]
{method}
[[methods]]
id = "oauth2"
kind = "code"
authorize_url = "https://login.acme.example/authorize"
token_url = "https://login.acme.example/token"
{grant}
[[verifications]]
url = "{url}"
{check}
{end}
"""
USUAL = {"id": "key", "url": "https://api.acme.example/me", **dict.fromkeys(("top", "method", "grant", "check", "end"), "")}
RULE = '[[error_rules]]\nat = "{at}"\nstatus = {status}\nclass = "{meaning}"'


def _load(folder: Path, **parts: str) -> Catalogue:
    (folder / "acme.toml").write_text(FILE.format(**{**USUAL, **parts}), encoding="utf-8")
    return Catalogue.load(folder / "acme.toml")


def test_the_usual_file_is_taken(tmp_path: Path) -> None:
    rule = RULE.format(at="verify", status=403, meaning="dead")
    catalogue = _load(tmp_path, check="status_rules = { 401 = 'dead', 500 = 'unknown' }", end=rule, grant="refresh_token = { idle = 60 }")
    assert catalogue.require("acme").name == "Acme"


HARMFUL = {
    "an outage as a dead key": {"check": "status_rules = { 503 = 'dead' }"},
    "a rate limit as a dead key": {"check": "status_rules = { 429 = 'dead' }"},
    "a rule for an outage as a dead key": {"end": RULE.format(at="verify", status=500, meaning="dead")},
    "a rule for a rate limit as the end of a grant": {"end": RULE.format(at="token", status=429, meaning="reauthorize")},
    "a rule for a status that there is not": {"end": RULE.format(at="token", status=0, meaning="dead")},
    "a refresh without end": {"grant": "refresh_token = { idle = 0 }"},
    "a grant that ends at once": {"grant": "refresh_token = { absolute = 0 }"},
    "fewer grants than none": {"grant": "refresh_token = { max_live = -1 }"},
    "a second header in a header": {"check": 'headers = { X-A = "b\\r\\nX-B: c" }'},
    "a header whose name has a space": {"check": 'headers = { "X A" = "b" }'},
    "another host in a header": {"check": 'headers = { Host = "elsewhere.example" }'},
    "another length of the body": {"method": 'headers = { api = { Content-Length = "0" } }'},
    "the key as a transfer coding": {"method": 'present = { headers = { Transfer-Encoding = "{token}" } }'},
    "a URL in two lines": {"url": "https://api.acme.example/me\\nX-A: b"},
    "a URL with a space": {"url": "https://api.acme.example/me you"},
    "a script as the documentation": {"top": 'documentation = "javascript:alert(1)"'},
    "a path as the id of a method": {"id": "../key"},
    "a default that its own pattern refuses": {"end": '[[variables]]\nname = "region"\npattern = "^[a-z]+$"\ndefault = "1"'},
    "a default that is no choice": {"end": '[[variables]]\nname = "region"\nchoices = ["eu"]\ndefault = "us"'},
    "a variable whose form takes some values for ever": {"end": '[[variables]]\nname = "region"\npattern = "^(?:[a-z]+)+$"'},
    "a test that takes some answers for ever": {"check": 'success = [{ path = "a", matches = "(?:a|a)*b" }]'},
    "a rule that takes some answers for ever": {"end": '[[error_rules]]\nat = "token"\npath = "a"\nmatches = "(?:.*a)*b"\nclass = "dead"'},
    "a variable of a method that takes some values for ever": {
        "end": '[[variables]]\nname = "region"\npattern = "^[a-z]+$"',
        "method": "variables = { region = '^(?:a|ab|b)*$' }",
    },
    "tables within tables without end": {"top": "base_urls = " + "{ a = " * 3000 + '""' + " }" * 3000},
}


@pytest.mark.parametrize("parts", HARMFUL.values(), ids=HARMFUL)
def test_a_file_that_would_do_harm_is_refused(parts: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"acme\.toml"):
        _load(tmp_path, **parts)
