"""Setup guides: whatever a value is, it stays a value in the document where it lands."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud_integrations.domain.guides.check import guide_problems
from cloud_integrations.domain.guides.fill import fill_guide, needs_permissions
from cloud_integrations.domain.guides.names import PLATFORM_NAMES
from cloud_integrations.domain.guides.places import find_places
from cloud_integrations.domain.guides.quoting import quote_hcl, quote_shell, quote_url, quote_yaml, write_hcl, write_json
from cloud_integrations.domain.guides.template import ProviderGuides
from cloud_integrations.domain.guides.values import Guide
from cloud_integrations.domain.provider import Provider
from cloud_integrations.errors import ProviderInactiveError, ValidationFailedError

pytestmark = pytest.mark.requirement("Q73")

PROVIDER = Provider.model_validate(
    {
        "id": "acme",
        "name": "Acme",
        "variables": [{"name": "region", "choices": ["eu", "us"], "default": "eu", "in_host": True}, {"name": "org", "pattern": ".*"}],
        "methods": [
            {
                "id": "role",
                "kind": "key",
                "inputs": [
                    {"name": "role_arn", "secret": False},
                    {"name": "key"},
                    {"name": "file", "form": "json", "parts": {"private_key": "private_key"}},
                ],
                "present": {"headers": {"X-Key": "{key}", "X-Other": "{private_key}{role_arn}"}},
            },
            {"id": "token", "kind": "key", "inputs": [{"name": "token"}]},
        ],
    }
)
PERMISSIONS = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*${x}%{y}"}],
    "role": "it's",
}
HOSTILE = [
    "it's",
    '"; rm -rf / #',
    "$(touch /tmp/x)",
    "`id`",
    "${aws:username}",
    "%{ if true }",
    "$${x",
    "</script><script>alert(1)",
    "a\\",
    "{{product}}",
    "x: y # z",
    "- a",
    "é 😀 ñ",
    "&a=b",
    "a b",
    "!important",
    "~root",
    "{a,b}",
    "*",
    "=cmd|' /C calc'!A0",
    "$",
    "%",
    "null",
    "{",
]
printable = st.text(st.characters(exclude_categories=["C", "Z"], include_characters=" \"'$%{}\\`<>&;#|!~*?()[]"), min_size=1, max_size=40)
anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def _guides(**fields: Any) -> ProviderGuides:
    guide = {"method": "role", "title": "A role", "steps": ["Do it."], "undo": ["Undo it."], **fields}
    return ProviderGuides.model_validate({"provider": "acme", "methods": [guide]})


def _document(file: str, text: str) -> ProviderGuides:
    return _guides(documents=[{"file": file, "title": "A document", "text": text}])


def _problems(guides: ProviderGuides) -> list[str]:
    return [f"{field} {problem}" for field, problem in guide_problems(guides, PROVIDER)]


def _fill(guides: ProviderGuides, *, permissions: Mapping[str, Any] | None = None, **values: str) -> Guide:
    assert _problems(guides) == []
    return fill_guide(PROVIDER, guides.methods[0], values=values, permissions=permissions)


def _filled(file: str, text: str, *, permissions: Mapping[str, Any] | None = None, **values: str) -> str:
    return _fill(_document(file, text), permissions=permissions, **values).documents[0].text


@given(anything)
def test_a_json_document_reads_back_what_it_was_made_of(text: str) -> None:
    written = write_json({"a": text, text: [text]})
    assert json.loads(written) == {"a": text, text: [text]}
    assert all(char.isprintable() or char == "\n" for char in written)
    assert not set(written) & set("<>&")


@given(anything.filter(lambda text: "\0" not in text))
def test_a_shell_word_reads_back_what_it_was_made_of(text: str) -> None:
    assert shlex.split(f"x --a={quote_shell(text)} b{quote_shell(text)}") == ["x", f"--a={text}", f"b{text}"]


@given(anything)
def test_a_url_reads_back_what_it_was_made_of(text: str) -> None:
    url = urlsplit(f"https://acme.example/{quote_url(text)}?a={quote_url(text)}&b=1#c={quote_url(text)}")
    assert dict(parse_qsl(url.query, keep_blank_values=True)) == {"a": text, "b": "1"}
    assert url.hostname == "acme.example"
    assert url.path.count("/") == 1


@given(anything)
def test_yaml_reads_back_what_it_was_made_of(text: str) -> None:
    written = f"a: {quote_yaml(text)}\nb:\n  - {quote_yaml({text: [text, 1, None, True]})}\n"
    assert yaml.safe_load(written) == {"a": text, "b": [{text: [text, 1, None, True]}]}


@given(anything)
def test_hcl_has_no_quote_and_no_interpolation_of_a_value(text: str) -> None:
    # Every way out of a quoted template is taken: a quote, a backslash, `${`, `%{`, the end of the line.
    assert re.fullmatch(r'(?:[^"\\$%\n\r]|\\["\\]|\\u[0-9a-f]{4}|\\U[0-9a-f]{8}|\$\$\{|%%\{|[$%](?!\{)(?!\Z))*', quote_hcl(text))
    assert not quote_hcl(text).startswith("{")
    assert find_places("hcl", f'a = "{quote_hcl(text)}"'.replace("{{", "")) == ()


def test_terraform_reads_what_we_quote_as_the_value() -> None:
    # Terraform 1.11.4 has evaluated each expression to its value between the two other texts.
    vectors = json.loads((Path(__file__).parent / "hcl_read_by_terraform.json").read_text(encoding="utf-8"))
    assert len(vectors) == 150
    for before, value, after, expression in vectors:
        assert f'"{before}{quote_hcl(value)}{after}"' == expression


def test_an_hcl_expression_has_the_json_value() -> None:
    assert write_hcl({"a": ["x", 1, True, None], "b": {}, "c": []}) == (
        '{\n  "a" = [\n    "x",\n    1,\n    true,\n    null,\n  ]\n  "b" = {}\n  "c" = []\n}'
    )


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_value_stays_one_word_of_a_real_shell(value: str) -> None:
    script = _filled("run.sh", 'printf "%s\\n" first --arg={{org}} last\n', org=value)
    shown = subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=True, text=True, encoding="utf-8").stdout
    assert shown == f"first\n--arg={value}\nlast\n"


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(printable)
def test_no_value_breaks_out_of_any_document(value: str) -> None:
    names = {"org": value, "product": value, "role_arn": value}
    in_json = _filled("a.json", '{"a": "{{org}}", "b": ["x-{{product}}-y"], "p": "{{permissions}}"}', permissions=PERMISSIONS, **names)
    assert json.loads(in_json) == {"a": value, "b": [f"x-{value}-y"], "p": PERMISSIONS}
    assert "</script" not in in_json
    in_shell = _filled("a.sh", "run --a={{org}} --b=x/{{product}} {{role_arn}}\n", **(names | {"role_arn": f"v{value}"}))
    assert shlex.split(in_shell) == ["run", f"--a={value}", f"--b=x/{value}", f"v{value}"]
    in_yaml = _filled("a.yaml", "a: {{org}}\nb:\n  - {{product}}\n", **names)
    assert yaml.safe_load(in_yaml) == {"a": value, "b": [value]}
    link = _fill(
        _guides(links=[{"title": "x", "url": "https://{{region}}.acme.example/{{org}}?a={{org}}#b={{org}}"}]), region="eu", **names
    ).links[0]
    url = urlsplit(link.url)
    assert (url.hostname, dict(parse_qsl(url.query))) == ("eu.acme.example", {"a": value})


def test_a_placeholder_is_filled_once() -> None:
    guide = _fill(_guides(steps=["Name it {{product}} of {{org}}."]), product="{{org}}", org="{{key}}")
    assert guide.steps == ("Name it {{org}} of {{key}}.",)


def test_what_is_not_known_stays_visible_and_is_listed() -> None:
    guide = _fill(
        _guides(
            steps=["Use {{external_id}}."],
            links=[
                {"title": "Create", "url": "https://acme.example/?url={{template_url}}"},
                {"title": "Console", "url": "https://acme.example/"},
            ],
            documents=[
                {"file": "trust.json", "title": "Trust", "text": '{"id": "{{external_id}}"}'},
                {"file": "run.sh", "title": "Run", "text": "run --role={{role_arn}} --org={{org}}\n"},
            ],
        ),
        org="o",
    )
    assert guide.steps == ("Use <EXTERNAL_ID>.",)
    assert json.loads(guide.documents[0].text) == {"id": "<EXTERNAL_ID>"}
    assert guide.documents[1].text == "run --role='<ROLE_ARN>' --org=o\n"
    assert [link.title for link in guide.links] == ["Console"]
    assert guide.missing == ("external_id", "role_arn", "template_url")


def test_a_placeholder_may_name_a_member() -> None:
    # AWS: the condition keys of a token issuer begin with its host.
    assert json.loads(_filled("a.json", '{"{{org}}:sub": 1, "{{product}}:sub": 2}', org='"x', product="y")) == {'"x:sub': 1, "y:sub": 2}
    with pytest.raises(ValidationFailedError, match="give two members of a document one name"):
        _filled("a.json", '{"{{org}}:sub": 1, "{{product}}:sub": 2}', org="x", product="x")


def test_values_that_follow_from_others_are_filled_too() -> None:
    guide = _fill(
        _guides(steps=["{{account_of_principal}} {{issuer_host}}"]),
        principal="arn:aws:iam::123456789012:role/acme",
        issuer="https://id.acme.example/tokens",
    )
    assert guide.steps == ("123456789012 id.acme.example/tokens",)
    assert _fill(_guides(steps=["{{account_of_principal}}"]), principal="somebody").missing == ("account_of_principal",)


def test_permissions_are_a_value_of_the_document_and_never_made_up() -> None:
    template = '{"Policy": "{{permissions}}", "role": "{{permissions.role}}"}'
    assert json.loads(_filled("a.json", template, permissions=PERMISSIONS)) == {"Policy": PERMISSIONS, "role": "it's"}
    hcl = _filled("a.tf", 'x {\n  policy = jsonencode({{permissions}})\n  role = "{{permissions.role}}"\n}\n', permissions=PERMISSIONS)
    assert '"Resource" = "*$${x}%%{y}"' in hcl
    assert 'role = "it\'s"' in hcl
    assert _filled("a.sh", "run --role={{permissions.role}}\n", permissions=PERMISSIONS) == "run --role='it'\"'\"'s'\n"
    guides = _document("a.json", template)
    assert needs_permissions(guides.methods[0])
    assert not needs_permissions(_guides().methods[0])
    for given_document in (None, {}, {"Version": "x"}, {"role": ""}):
        with pytest.raises(ProviderInactiveError, match="permissions configured here"):
            _fill(guides, permissions=given_document)
    with pytest.raises(ProviderInactiveError, match="is not text"):
        _fill(_document("a.sh", "run --x={{permissions.Statement}}\n"), permissions=PERMISSIONS)


def test_a_value_is_no_option_of_a_command() -> None:
    guides = _document("a.sh", "run {{org}} --x={{product}}\n")
    assert _fill(guides, org="a", product="--y").documents[0].text == "run a --x=--y\n"
    with pytest.raises(ValidationFailedError, match="org must not begin with -"):
        _fill(guides, org="--output=/etc/passwd", product="x")


@pytest.mark.parametrize("value", ["", "a\nb", "a\x00b", "a\u202eb", "a\u200bb", "\ud800", "x" * 2_049])
def test_a_value_that_cannot_be_seen_is_refused(value: str) -> None:
    with pytest.raises(ValidationFailedError) as refused:
        _fill(_guides(steps=["{{org}}"]), org=value)
    assert refused.value.field == "org"
    assert not value or value not in str(refused.value)


@pytest.mark.parametrize(
    ("file", "text", "problem"),
    [
        ("a.json", '{"a": "{{nobody}}"}', "has the placeholder nobody, which is no variable, no input and none of account_of_principal"),
        ("a.json", '{"a": "{{key}}"}', "has the placeholder key, which is a secret"),
        ("a.json", '{"a": "{{private_key}}"}', "has the placeholder private_key, which is a secret"),
        ("a.json", '{"a": "{{file}}"}', "has the placeholder file, which is a secret"),
        ("a.json", '{"a": "\\u007b{key}}"}', "has the placeholder key, which is a secret"),
        ("a.json", '{"a": {{org}}}', "is not JSON"),
        ("a.json", '{"a": 1, "a": 2}', "has a member twice"),
        ("a.json", '{"{{permissions.role}}": 1}', "has permissions in the name of a member"),
        ("a.json", '{"{{key}}": 1}', "has the placeholder key, which is a secret"),
        ("a.json", '{"a": "x {{permissions}}"}', "has permissions inside a longer text"),
        ("a.json", '{"a": "{{ org }}"}', "has {{ that begins no placeholder"),
        ("a.json", "[" * 20_000 + "]" * 20_000, "is too deep"),
        ("a.sh", "run '{{org}}'", "inside quotes or a comment"),
        ("a.sh", 'run "{{org}}"', "inside quotes or a comment"),
        ("a.sh", "run # {{org}}", "inside quotes or a comment"),
        ("a.sh", "run \\{{org}}", "inside quotes or a comment"),
        ("a.sh", "run `x {{org}}`", "has a here-document, a backquote"),
        ("a.sh", "run ${{org}}", "has a here-document, a backquote"),
        ("a.sh", 'run "$(x)"', "has a here-document, a backquote"),
        ("a.sh", "cat <<E\n{{org}}\nE\n", "has a here-document"),
        ("a.sh", "run 'x", "has a here-document, a backquote, ${…}, a quote after $, or quotes that are open"),
        ("a.sh", "run ~{{org}}", "beside a character that means something to a shell"),
        ("a.sh", "run {{org}}'x'", "beside a character that means something to a shell"),
        ("a.sh", "run; {{org}} x", "as the name of a command"),
        ("a.sh", "{{org}}", "as the name of a command"),
        ("a.sh", "run {{permissions}}", "in a command; put it into a document of its own"),
        ("a.tf", "# {{org}}\n", "in a comment"),
        ("a.tf", 'a = "${{org}}"', "has a heredoc (<<), a text without its closing quote, or an interpolation"),
        ("a.tf", 'a = "$${{org}}"', "after $"),
        ("a.tf", "a = <<E\n{{org}}\nE\n", "has a heredoc"),
        ("a.tf", 'a = "{{permissions}}"', "has permissions inside a text"),
        ("a.tf", 'a = "x', "has a heredoc (<<), a text without its closing quote"),
        ("a.yaml", "a: 'x {{org}}'", "inside a longer value"),
        ("a.yaml", "a: {{org}} # x", "inside a longer value"),
        ("a.yaml", "a: |\n  {{org}}\n", "has a block scalar"),
        ("a.txt", "{{permissions}}", "has permissions in plain text"),
        ("a.sql", "ALTER USER {{org}}", "has a placeholder, and values cannot be quoted in this language"),
    ],
)
def test_the_loader_refuses_a_placeholder_that_is_unknown_secret_or_cannot_be_quoted(file: str, text: str, problem: str) -> None:
    [found] = _problems(_document(file, text))
    assert found.startswith(f"role.documents.{file} ")
    assert problem in found


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://acme.example/", "must be an https URL"),
        ("https://user@acme.example/", "must be an https URL"),
        ("https://acme.example/a b", "must be an https URL"),
        ("https:///x", "must be an https URL"),
        ("https://{{org}}.example/", "has the placeholder org in its host"),
        ("https://{{product}}/", "has the placeholder product in its host"),
        ("https://acme.example/?p={{permissions}}", "has permissions in plain text"),
        ("https://acme.example/?k={{key}}", "which is a secret"),
    ],
)
def test_the_loader_refuses_a_link_that_is_not_safe(url: str, problem: str) -> None:
    [found] = _problems(_guides(links=[{"title": "x", "url": url}]))
    assert found.startswith("role.links.0.url ")
    assert problem in found


def test_the_loader_names_each_field_that_is_wrong() -> None:
    guides = _guides(steps=["{{key}}", "fine", "{{x}}"], undo=["{{"])
    fields = [field for field, _ in guide_problems(guides, PROVIDER)]
    assert fields == ["role.steps.0", "role.steps.2", "role.undo.0"]
    other = ProviderGuides.model_validate({"provider": "other", "methods": [{**guides.methods[0].model_dump(), "method": "gone"}]})
    assert _problems(other) == ["provider is not the slug of the provider", "gone.method is no method of this provider"]


def test_a_placeholder_is_a_secret_only_where_the_method_has_it() -> None:
    # `key` is an input of the method `role` alone.
    assert (
        "no variable, no input"
        in _problems(
            ProviderGuides.model_validate(
                {"provider": "acme", "methods": [{"method": "token", "title": "t", "steps": ["{{role_arn}}"], "undo": ["u"]}]}
            )
        )[0]
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": []},
        {"undo": []},
        {"steps": ["a\u202eb"]},
        {"unread": 1},
        {"documents": [{"file": "../a.json", "title": "x", "text": "{}"}]},
        {"documents": [{"file": "a.exe", "title": "x", "text": "{}"}]},
        {"documents": [{"file": "a.sh", "title": "x", "text": "a\x1b[2J"}]},
        {"documents": [{"file": "a.sh", "title": "x", "text": "a"}, {"file": "a.sh", "title": "y", "text": "b"}]},
    ],
)
def test_the_schema_refuses_what_nobody_reads_or_sees(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        _guides(**wrong)


def test_two_guides_for_one_method_are_refused() -> None:
    guide = _guides().methods[0].model_dump()
    with pytest.raises(ValueError, match="two guides are for one method"):
        ProviderGuides.model_validate({"provider": "acme", "methods": [guide, guide]})


def test_the_list_of_names_is_closed() -> None:
    assert set(PLATFORM_NAMES) == {
        "account_of_principal",
        "app_client_id",
        "audience",
        "external_id",
        "issuer",
        "issuer_host",
        "principal",
        "product",
        "redirect_uri",
        "subject",
        "template_url",
    }
