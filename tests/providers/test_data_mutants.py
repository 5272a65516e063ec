"""No fact of a provider file is without a test: each change of one shows in the golden text, or the schema refuses it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

import pytest
from tests.golden.texts import sections

from cloud_integrations.domain.provider import Provider
from cloud_integrations.errors import CloudIntegrationsError
from cloud_integrations.kinds import check_provider

from .data_mutants import Mutant, Path, mutants_of, name_of, shortened_of
from .slugs import SLUGS

NOT_SHOWN: Mapping[str, str] = {
    "active": "says what is offered to new connections, and no request depends on it",
    "aliases": "are for people who search",
    "base_urls": "are shown to people; the reference page has them",
    "category": "groups providers for people",
    "checked": "is a day that people read",
    "deprecations": "is what people read",
    "deprecations.ends": "is what people read",
    "deprecations.instead": "is what people read",
    "deprecations.methods": "is what people read",
    "deprecations.source": "is what people read",
    "description": "is what people read",
    "documentation": "is a page that people read; the reference page has it",
    "id": "is the name of the golden file",
    "methods.inputs.hint": "is what people read; the reference page has it",
    "methods.inputs.label": "is what people read; the reference page has it",
    "methods.inputs.normalise.0": "is `strip`, which `unwrap` does as well",
    "methods.refresh_params.redirect_uri": "is replaced by the redirect URI of the authorization",
    "name": "is what people read; the reference page has it",
    "variables.hint": "is what people read; the reference page has it",
    "variables.label": "is what people read; the reference page has it",
}
"""Facts that no golden text shows, each with the reason."""

DECISIVE = (
    "error_rules.", "methods.access_token.", "methods.inputs.public", "methods.refresh_token.", "methods.revoke.", "methods.scopes.",
    "rate_limit.", "verifications.",
)  # fmt: skip
"""The beginnings of the names of facts that decide what an answer means, what is asked for, and what becomes of a grant."""
NOT_MISSED: Mapping[str, str] = {
    "error_rules.for_methods: atlassian github zoom": "names the only method that has such an answer",
    "methods.refresh_token.reuse: railway": "is what is assumed where nothing is known",
    "methods.revoke.auth: auth0 box datadog gitlab hubspot notion planetscale zoom": "is as at the token endpoint",
    "methods.revoke.kills: google_cloud": "is treated as what is not known; people read it",
    "methods.scopes.default: atlassian auth0 linear zendesk": "is what `always` adds",
    "methods.scopes.unlisted: azure": "is an `offline` scope, too",
    "rate_limit.statuses: alibaba_cloud aws backblaze_b2 databricks github google_cloud linear tencent_cloud wasabi": (
        "has 429, which is a limit in any case"
    ),
    "verifications.headers: tencent_cloud": "is what the signature sends",
    "verifications.needs: cloudflare": "are variables of its request",
    "verifications.status_rules: aws google_cloud wasabi": "is what is assumed",
}
"""Facts of some files that say what is so without them, each with the reason."""


def _content(slug: str) -> dict[str, Any]:
    return tomllib.loads((files("cloud_integrations.providers") / f"{slug}.toml").read_text(encoding="utf-8"))


def _listed(path: Path) -> set[str]:
    return NOT_SHOWN.keys() & {name_of(path), f"{name_of(path)}.{path[-1]}"}


def _valid(mutants: list[Mutant]) -> Iterator[Provider]:
    for mutant in mutants:
        try:
            provider = Provider.model_validate(mutant.content)
            check_provider(provider)
        except ValueError:
            continue
        yield provider


def _shows(provider: Provider, known: Mapping[str, list[str]], path: Path) -> bool:
    """Return whether a section of the changed *provider* differs from the *known* one, or has come or gone."""
    made = set()
    try:
        for title, lines in sections(provider, about=path):
            made.add(title)
            if known.get(title) != lines:
                return True
    # A change by which no request can be built any more is seen, too.
    except (CloudIntegrationsError, AssertionError, LookupError, ValueError, StopIteration, RuntimeError):
        return True
    if path[0] == "verifications":
        return any(title not in made for title in known if re.search(r": (?:answers to )?check \d", title))
    if path[0] != "methods":
        return False
    own = f"{provider.methods[int(path[1])].id}: "
    return any(title.startswith(own) and title not in made for title in known)


@pytest.mark.slow
@pytest.mark.parametrize("slug", SLUGS)
def test_each_fact_of_a_provider_file_shows_in_its_golden_text(slug: str) -> None:
    content = _content(slug)
    known = dict(sections(Provider.model_validate(content)))
    unseen = [
        f"{name_of(path)} {path}: {mutants[0].change}"
        for path, mutants in mutants_of(content)
        if not _listed(path) and not _is_seen(mutants, known, path)
    ]
    assert unseen == [], "show them in tests/golden, or list them in NOT_SHOWN with the reason"


@pytest.mark.slow
@pytest.mark.parametrize("slug", SLUGS)
def test_what_is_left_out_of_a_provider_file_is_missed_in_its_golden_text(slug: str) -> None:
    content = _content(slug)
    known = dict(sections(Provider.model_validate(content)))
    listed = {name for each in NOT_MISSED for name, _, slugs in [each.partition(": ")] if slug in slugs.split()}
    unseen = [
        f"{name_of(mutant.path)} {mutant.path}"
        for mutant in shortened_of(content)
        if name_of(mutant.path).startswith(DECISIVE) and name_of(mutant.path) not in listed and not _is_seen([mutant], known, mutant.path)
    ]
    assert unseen == [], "show them in tests/golden, take them out of the file, or list them in NOT_MISSED with the reason"


@pytest.mark.parametrize("slug", SLUGS)
def test_no_two_sections_of_a_golden_text_have_one_title(slug: str) -> None:
    # The tests above compare the sections by their titles.
    titles = [title for title, _ in sections(Provider.model_validate(_content(slug)))]
    assert len(titles) == len(set(titles))


def _is_seen(mutants: list[Mutant], known: Mapping[str, list[str]], path: Path) -> bool:
    """Return whether one of the changes shows; a fact that cannot be changed without the schema refusing it is seen."""
    shown = [_shows(provider, known, path) for provider in _valid(mutants)]
    return not shown or any(shown)


def test_every_fact_that_is_said_not_to_show_is_one_that_does_not() -> None:
    unknown = {name for name in NOT_SHOWN if name.partition(".")[0] not in Provider.model_fields}
    seen, unseen = set[str](), set[str]()
    for slug in SLUGS:
        content = _content(slug)
        listed = [(path, mutants, names) for path, mutants in mutants_of(content) if (names := _listed(path) - unseen)]
        known = dict(sections(Provider.model_validate(content))) if listed else {}
        for path, mutants, names in listed:
            (seen if _is_seen(mutants, known, path) else unseen).update(names)
    assert unknown | (seen - unseen) == set(), "take them out of NOT_SHOWN"
