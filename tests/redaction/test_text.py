"""Keys and tokens in a text: all of a known form or name go, and ordinary text stays as it is."""

from __future__ import annotations

import base64
import random
import re
import time
from collections.abc import Iterator
from re import _constants as opcodes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cloud_integrations.protocol.builtin_formats import BUILTIN
from cloud_integrations.protocol.foreign_formats import ELSEWHERE
from cloud_integrations.providers import Catalogue
from cloud_integrations.redaction import known, named, redact, text

ROWS = [*BUILTIN, *ELSEWHERE]
CANARY = "CanaryQ7x9Zk3"
PEM = "-----BEGIN PRIVATE KEY-----\nQ2FuYXJ5\nUTd4OVpr\n-----END PRIVATE KEY-----"
HEADER, PAYLOAD = "eyJhbGciOiJub25lIn0", "eyJzdWIiOiJmYWtlIn0"
ORDINARY = [
    '2026-11-29 16:00:00,123 INFO httpx: HTTP Request: GET https://api.example.com/v1/users/42?limit=10&page_token=next "HTTP/1.1 200 OK"',
    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8 (HEAD -> main)",
    "request 0192f7c1-1234-7abc-8def-0123456789ab took 12 ms, trace=4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
    'Traceback (most recent call last):\n  File "/srv/app/tokens.py", line 12, in refresh\nValueError: token expired',
    "status code: 404, error code=invalid_grant, exit code=1",
    '{"code": "resource_not_found", "message": "The access token is missing or has expired", "token_type": "Bearer", "expires_in": 3600}',
    "password: must be at least twelve characters long",
    "the secret: never share it",
    "invalid authorization: required by this endpoint",
    "authorization: token expired",
    "Bearer authentication required",
    'WWW-Authenticate: Bearer realm="example", error="invalid_token"',
    "cloning ssh://git@github.com/acme/app.git and git@github.com:acme/app.git",
    "connecting to postgres://app@db.example.com:5432/app, redis://cache:6379/0 and http://[::1]:8080/a@b",
    "max_tokens=4096 next_page_token=abcdefgh tokens: 512 keys: 3",
    "arn:aws:iam::123456789012:role/Deploy and ocid1.tenancy.oc1..aaaaaaaa",
    "SKU SK-1234, SG.2 of the guide, task-force, EXOTIC, npm_config_cache=/tmp/npm, pul-style, hf_home",
    "password=$PASSWORD token=${TOKEN} secret=%s api_key=**** client_secret=None",
    "GET /search?q=code&code=200&sort=key HTTP/1.1",
    "cookie: none was set; accept the cookies",
    "-----BEGIN CERTIFICATE-----\nMIIBfake\n-----END CERTIFICATE-----",
    "Zażółć gęślą jaźń, 漢字, 🙂 and \x00\ud800",
    "",
]
VALUES = [
    "Authorization: Bearer {}", "authorization: Basic {}", "Proxy-Authorization: Token {}", "Authorization: {}Abcdef",
    "{{'Authorization': 'Bearer {}'}}", '{{"authorization": "{}"}}', "[(b'authorization', b'Bearer {}'), (b'host', b'x')]",
    'curl -H "Authorization: Bearer {}" https://api.example.com', "curl -H 'X-Api-Key: {}' https://api.example.com",
    "Authorization: Digest username=x, response={}", "Authorization: AWS4-HMAC-SHA256 Credential=x/1, SignedHeaders=host, Signature={}",
    "Cookie: theme=dark; session={}", "Set-Cookie: session={}; Path=/; HttpOnly", '{{"Cookie": "session={}"}}',
    "X-Api-Key: {}", "x-auth-token: {}", "PRIVATE-TOKEN: {}", "DD-API-KEY: {}", "X-Vault-Token: {}",
    "grant_type=refresh_token&refresh_token={}&client_id=app", "client_secret={}", "POST body: code={}&state=abc",
    "GET /callback?code={}&state=abc HTTP/1.1", "https://app.example/cb?state=a&code={}", "code_verifier={}", "device_code={}",
    "https://app.example/cb#access_token={}&expires_in=3600", "next=https%3A%2F%2Fa.example%2Fcb%3Fcode%3D{}%26state%3Da",
    '{{"access_token":"{}","expires_in":3600}}', '{{"clientSecret" : "{}"}}', "{{'refresh_token': '{}'}}", "TokenReply(access_token='{}')",
    '{{\\"access_token\\":\\"{}\\"}}', '{{"code": "{}4f7a"}}', "client_assertion={}", "SAMLResponse={}",
    "GITHUB_TOKEN={}", "AWS_SECRET_ACCESS_KEY={}", "export DB_PASSWORD='{}'", "password: {}", "pwd={}", '"password": "a\\"b{}"',
    "postgres://app:{}@db.example.com/app", "https://{}:x-oauth-basic@github.com/acme", "redis://:{}@cache:6379/0", "amqp://u:{}@mq//vhost",
    "https://s3.amazonaws.com/b?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature={}&X-Amz-Expires=60", "?X-Amz-Credential={}%2F20261129",
    "?X-Amz-Security-Token={}", "?X-Goog-Signature={}", "?AWSAccessKeyId={}&Signature=x", "?sv=2024&sig={}&se=2026",
    "AccountName=a;AccountKey={};EndpointSuffix=core.windows.net", "Bearer {} was refused",
]  # fmt: skip


@pytest.mark.parametrize("line", ORDINARY)
def test_ordinary_text_stays_as_it_is(line: str) -> None:
    assert redact(line) == line


@pytest.mark.parametrize("template", VALUES)
def test_a_value_with_a_secret_name_goes(template: str) -> None:
    line = template.format(CANARY)
    cleaned = redact(line)
    assert CANARY not in cleaned
    assert "[removed: " in cleaned
    assert redact(cleaned) == cleaned


@pytest.mark.parametrize(
    "form", [PEM, PEM.replace("\n", "\\n"), PEM[:-20], PEM.replace("PRIVATE", "OPENSSH PRIVATE"), PEM.replace("\n", "\r\n")]
)
def test_a_private_key_goes_also_without_its_end(form: str) -> None:
    assert redact(f"read {form}") in {"read [removed: private key]", "read [removed: private key]\\n"}


@pytest.mark.parametrize("token", [f"{HEADER}.{PAYLOAD}.c2ln", f"{HEADER}.{PAYLOAD}.", f"{HEADER}..aXY.Y2lwaGVy.dGFn"])
def test_a_json_web_token_goes(token: str) -> None:
    assert redact(f"got <{token}>") == "got <[removed: JSON Web Token]>"


@pytest.mark.parametrize("number", range(len(ROWS)))
@settings(max_examples=25)  # of each form, of which there are a hundred
@given(data=st.data(), before=st.text(), after=st.text())
def test_a_key_of_each_known_form_goes_whatever_is_around_it(number: int, data: st.DataObject, before: str, after: str) -> None:
    row = ROWS[number]
    prefix = data.draw(st.sampled_from(row.prefixes)) if row.prefixes else ""
    rest = data.draw(st.from_regex(re.compile(row.rest, re.ASCII), fullmatch=True))
    cleaned = redact(f"{before} {prefix}{rest} {after}")
    assert f"{prefix}{rest}" not in cleaned
    assert rest not in cleaned or rest in f"{before} {after}"


@pytest.mark.parametrize("around", ["token={}", '"{}"', "({})", "a,{},b", "\\n{}\\n", "url%3D{}", "[{}]", "<{}>", "{}"])
def test_a_known_key_goes_between_signs(around: str) -> None:
    for key, words in (("ghp_" + "fake" * 9, "GitHub token"), ("AKIA" + "FAKE" * 4, "Amazon Web Services access key id")):
        assert redact(around.format(key)) == around.format(f"[removed: {words}]")


def test_letters_inside_base64_are_no_key() -> None:
    line = base64.b64encode(random.Random(1).randbytes(30_000)).decode()
    assert redact(line) == line
    assert redact(f"xAKIA{'FAKE' * 4}") == f"xAKIA{'FAKE' * 4}"
    assert redact(f"AKIA{'FAKE' * 5}") == f"AKIA{'FAKE' * 5}"


def test_headers_in_which_built_in_providers_take_keys_are_known() -> None:
    for provider in Catalogue.builtin().list_providers():
        for method in provider.methods:
            for header, template in method.present.headers.items():
                secrets = {each.name for each in method.inputs if each.secret} | {"value"}
                if any(f"{{{name}" in template for name in secrets):
                    assert CANARY not in redact(f"{header}: {re.sub('{[^}]*}', CANARY, template)}"), f"{provider.id}: {header}"


@given(st.text() | st.text(alphabet="-:/@=&?'\"\\ .eyJcodetkn[]BGIN", max_size=200))
@example("[removed: x]")
def test_it_never_fails_and_its_own_words_stay(line: str) -> None:
    once = redact(line)
    assert redact(once) == once
    assert once != text.FAILED


def test_a_text_that_cannot_be_read_is_removed_as_a_whole() -> None:
    class Text(str):
        __slots__ = ()

        def __contains__(self, other: object) -> bool:
            raise RuntimeError(CANARY)

    assert redact(Text(f"token={CANARY}")) == text.FAILED


# How long it takes


def _repeats(tree: Any) -> Iterator[Any]:
    """Yield each repetition of a parsed expression that may give back what it has read, with its end."""
    for operation, argument in tree:
        if operation in {opcodes.MAX_REPEAT, opcodes.MIN_REPEAT}:
            yield argument[1]
        for part in argument if isinstance(argument, tuple | list) else [argument]:
            for inner in part if isinstance(part, list) else [part]:
                if isinstance(inner, parser.SubPattern):
                    yield from _repeats(inner)


def test_each_repetition_has_an_end_or_gives_nothing_back() -> None:
    expressions = [value.pattern for module in (known, named, text) for value in vars(module).values() if isinstance(value, re.Pattern)]
    expressions += [each.pattern for each in named._BODIES.values()]
    expressions += [text._marked().pattern, known._prefixes()[0].pattern, known._wholes()[0].pattern, named._names().pattern]
    expressions += [row.rest for row in ROWS]
    for pattern in expressions:
        for end in _repeats(parser.parse(pattern)):
            assert end <= 4096, pattern


HOSTILE = [
    "a", "=", '"', "\\", "eyJ", "eyJaaaaaaaa.", "://a:", "ghp_", "SG.aaaaaaaaaaaaaaaaaaaaaa.", "fm2_", "glpat-aaaaaaaaa",
    "-----BEGIN ", "-----BEGIN PRIVATE KEY-----", "token='", 'token="', '\\"token\\":\\"', "token: ", "authorization: ",
    "cookie: a=b;", "code=", "'code': \"", "bearer ", "password:", "aaa8Q~", "00aaaaaaaaaaaaa!", "code%3d",
]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
def test_the_time_grows_with_the_length_and_no_faster(piece: str) -> None:
    """A megabyte takes about sixteen times as long as a sixteenth of it; if it grew with the square, 256 times."""

    def seconds(length: int) -> float:
        line = (piece * (length // len(piece) + 1))[:length]
        start = time.process_time()
        redact(line)
        return time.process_time() - start

    redact(piece)
    assert seconds(1_000_000) < 64 * max(seconds(62_500), seconds(62_500), 0.001)
