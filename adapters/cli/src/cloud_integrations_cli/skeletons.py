"""The files of a new provider, from the answers of a person: the provider file, its evidence, a guide and a test."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date

from .skeleton_answers import Answers, Kind
from .skeleton_tests import build_test

UNKNOWN = "Not known yet:"
"""How a comment begins that says what is to be found out."""


def build_files(answers: Answers, today: date, /) -> dict[str, str]:
    """Return the content of each file by its path."""
    return {
        f"{answers.slug}.toml": "\n".join(_provider_lines(answers, today)) + "\n",
        f"evidence/{answers.slug}.json": _evidence(answers, today),
        f"guides/{answers.slug}.toml": _guide(answers),
        f"test_{answers.slug}.py": build_test(answers),
    }


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _known(comment: str, value: str, line: str) -> Iterator[str]:
    """Give *line*, with a comment before it where *value* is not known."""
    if not value:
        yield f"# {UNKNOWN} {comment}"
    yield line


def _provider_lines(answers: Answers, today: date) -> Iterator[str]:
    yield f'# A comment that begins with "{UNKNOWN}" says what to find out. Remove it when the line below it is right.'
    yield f"id = {_text(answers.slug)}"
    yield f"name = {_text(answers.name)}"
    yield f"category = {_text(answers.category)}"
    yield from _known("the provider's own page about access.", answers.documentation, f"documentation = {_text(answers.documentation)}")
    yield f"# {UNKNOWN} the day on which the file was compared with its sources; this is the day on which it was begun."
    yield f"checked = {today.isoformat()}"
    yield ""
    yield "[[methods]]"
    yield f"id = {_text(answers.kind)}"
    yield f'kind = "{"code" if answers.kind == "oauth2" else "key"}"'
    yield from _METHODS[answers.kind](answers)
    yield ""
    yield "[[verifications]]"
    yield from _known(
        "the cheapest read-only request that needs the credential.", answers.check_url, f"url = {_text(answers.url('check_url', 'me'))}"
    )
    if answers.account:
        yield f"identity = [{_text(answers.account)}]"
    else:
        yield f'# {UNKNOWN} where the answer names the account, such as identity = ["json:id"].'
    yield f'# {UNKNOWN} where the answer names it for people, such as label = ["json:email"].'
    status = answers.dead_status or "401"
    yield from _known("which status means that the credential is dead.", answers.dead_status, f'status_rules = {{ {status} = "dead" }}')
    yield ""
    yield f'# {UNKNOWN} how a rate limit is told: [rate_limit] with remaining = "X-RateLimit-Remaining".'


def _of_a_key(answers: Answers) -> Iterator[str]:
    form, _, name = (answers.place or "bearer").partition(":")
    if not answers.place:
        yield f"# {UNKNOWN} where the key goes; without `present` it is Authorization: Bearer."
    elif form == "header":
        yield f'present = {{ headers = {{ {_text(name)} = "{{api_key}}" }} }}'
    elif form == "query":
        yield f'present = {{ query = {{ {_text(name)} = "{{api_key}}" }} }}'
    yield from _revoke(answers)
    yield ""
    yield "[[methods.inputs]]"
    yield 'name = "api_key"'
    yield 'label = "API key"'
    yield from _pattern(answers, "the form of a key")


def _of_basic(answers: Answers) -> Iterator[str]:
    yield 'present = { basic = { user = "{username}", password = "{password}" } }'
    yield from _revoke(answers)
    yield from ("", "[[methods.inputs]]", 'name = "username"', "secret = false", 'label = "User name"')
    yield from ("", "[[methods.inputs]]", 'name = "password"', 'label = "Password"', "# It is sent as it was entered.")
    yield from ("normalise = []", "spaces = true")
    yield from _pattern(answers, "the form of a password, if it has one")


def _of_client(answers: Answers) -> Iterator[str]:
    yield 'application = "owner"'
    yield from _revoke(answers)
    yield from ("", "[[methods.inputs]]", 'name = "client_id"', "secret = false", 'label = "Client ID"')
    yield from ("", "[[methods.inputs]]", 'name = "client_secret"', 'label = "Client secret"')
    yield from _pattern(answers, "the form of a client secret")
    yield from ("", "[[methods.mint]]")
    yield from _known("where tokens are made.", answers.token_url, f"url = {_text(answers.url('token_url', 'token'))}")
    yield f'# {UNKNOWN} whether the client is named by "basic" or in the form ("post").'
    yield 'client_auth = ["basic"]'
    yield 'fields = { grant_type = "client_credentials" }'


def _of_consent(answers: Answers) -> Iterator[str]:
    page = _text(answers.url("authorize_url", "authorize"))
    yield from _known("where a person consents.", answers.authorize_url, f"authorize_url = {page}")
    yield from _known("where tokens are given.", answers.token_url, f"token_url = {_text(answers.url('token_url', 'token'))}")
    yield f'# {UNKNOWN} which scopes are asked for: scopes = {{ default = ["read"], offline = ["offline_access"] }}.'
    if answers.rotates:
        yield f"refresh_token = {{ rotates = {_text(answers.rotates)} }}"
    else:
        yield f'# {UNKNOWN} whether a refresh replaces the refresh token: refresh_token = {{ rotates = "always" }}.'
    yield f'# {UNKNOWN} the request that ends a token: url = "…" in revoke.'
    yield from _revoke(answers)


_METHODS = {"api_key": _of_a_key, "basic": _of_basic, "client_credentials": _of_client, "oauth2": _of_consent}


def _revoke(answers: Answers) -> Iterator[str]:
    page = _text(answers.url("revoke_page", "access"))
    yield from _known("the page where a person ends the access.", answers.revoke_page, f"revoke = {{ manual_url = {page} }}")


def _pattern(answers: Answers, what: str) -> Iterator[str]:
    if answers.pattern:
        yield f"patterns = [{_text(answers.pattern)}]"
    else:
        yield f'# {UNKNOWN} {what}, anchored: patterns = ["^acme_[a-z0-9]{{32}}$"].'


def _evidence(answers: Answers, today: date) -> str:
    """Write a row for each fact that decides behaviour; all are from memory until a source is named."""
    fields = [f"methods.{answers.kind}.revoke.manual_url", "verifications.0.url"]
    fields += ["verifications.0.identity"] if answers.account else []
    fields += ["verifications.0.status_rules", f"guides.{answers.kind}"]
    fields += [f"methods.{answers.kind}.refresh_token.rotates"] if answers.kind == "oauth2" and answers.rotates else []
    rows = [f'  {_text(field)}: ["general-knowledge", "memory", "{today.isoformat()}"]' for field in fields]
    return "{\n" + ",\n".join(rows) + "\n}\n"


_TITLES: dict[Kind, str] = {
    "api_key": "An API key",
    "basic": "A user name and a password",
    "client_credentials": "A client of your own",
    "oauth2": "Your consent",
}


def _guide(answers: Answers) -> str:
    page = _text(answers.url("revoke_page", "access"))
    name = answers.name
    what = {"oauth2": "access", "basic": "user", "client_credentials": "client", "api_key": "key"}[answers.kind]
    step = "allow access for" if answers.kind == "oauth2" else f"create a {what} for"
    last = (
        "Look at what it asks for, and go back to this product."
        if answers.kind == "oauth2"
        else f"Enter the {what} here; it may be shown once only."
    )
    return f"""\
provider = {_text(answers.slug)}

[[methods]]
method = {_text(answers.kind)}
title = {_text(_TITLES[answers.kind])}
# {UNKNOWN} the steps as the provider's own page names them, with the least permissions that are enough.
steps = [
  {_text(f"Sign in to {name}.")},
  {_text(f"Open the page below, and {step} this product.")},
  {_text(last)},
]
undo = [
  {_text(f"Open the same page, and remove the {what}.")},
]

[[methods.links]]
title = {_text(f"Access to {name}")}
url = {page}
"""
