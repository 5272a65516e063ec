"""What every signature promises, whatever its form."""

from __future__ import annotations

from datetime import timedelta, timezone
from urllib.parse import quote

import httpx
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cloud_integrations.errors import ConfigurationError
from cloud_integrations.protocol import signing
from cloud_integrations.protocol.egress import read_target
from cloud_integrations.protocol.signing import find_signer

from .signing_cases import NOW, SAMPLES, URL, authorization, problems, sign, signature

names = pytest.mark.parametrize("name", sorted(SAMPLES))
with_header = pytest.mark.parametrize("name", sorted(name for name, sample in SAMPLES.items() if sample.covers_header))
with_token = pytest.mark.parametrize("name", sorted(name for name, sample in SAMPLES.items() if sample.token))
ODD = [
    "%",
    "%zz",
    "%2F",
    "%2e%2e",
    "..",
    "/../..",
    "a b",
    "a+b",
    "ü/ሴ",
    "?",
    "??=&&=",
    "a=&a=1&a",
    "#x",
    '"<>\\^`{|}',
    "\ud800",
    "\0\t\n",
    ";a=b;",
]

segments = st.lists(st.text(min_size=1).filter(lambda text: text not in {".", ".."} and "/" not in text), min_size=1, max_size=3)
values = st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), st.text(max_size=5), min_size=1, max_size=4)


def test_every_built_in_signer_is_tested_here() -> None:
    # A proof of DPoP signs no body and differs each time: tests/protocol/test_dpop.py.
    assert {*SAMPLES, "dpop"} == set(signing._CLASSES)


def test_a_name_that_no_signature_has_finds_none() -> None:
    assert find_signer("rot13") is None


@names
@given(
    path=st.text() | st.sampled_from(ODD),
    query=st.text() | st.sampled_from(ODD),
    body=st.binary(max_size=9),
    method=st.sampled_from(["GET", "POST", "PURGE"]),
)
def test_any_path_query_and_body_can_be_signed(name: str, path: str, query: str, body: bytes, method: str) -> None:
    signed = sign(name, method=method, url=f"https://api.example.com/{path}?{query}", body=body)
    assert signature(signed)
    assert signed.url.isascii()


@names
@given(path=st.text() | st.sampled_from(ODD), query=st.text() | st.sampled_from(ODD))
def test_no_http_client_changes_the_url_that_was_signed(name: str, path: str, query: str) -> None:
    signed = sign(name, url=f"https://api.example.com/{path}?{query}")
    assert read_target(signed.url).host == "api.example.com"
    assert str(httpx.URL(signed.url)) == signed.url
    assert sign(name, url=signed.url) == signed


@names
def test_the_same_request_clock_and_nonce_give_the_same_signature(name: str) -> None:
    assert sign(name, body=b"body") == sign(name, body=b"body")


@names
def test_a_later_clock_gives_another_signature(name: str) -> None:
    assert signature(sign(name)) != signature(sign(name, now=NOW + timedelta(seconds=1)))


@names
def test_a_clock_of_another_time_zone_gives_the_same_signature(name: str) -> None:
    assert sign(name) == sign(name, now=NOW.astimezone(timezone(timedelta(hours=13))))


@pytest.mark.parametrize("name", ["acs3", "eg1"])
def test_another_nonce_gives_another_signature(name: str) -> None:
    assert signature(sign(name)) != signature(sign(name, nonce=b"\xff" * 16))


@names
def test_another_method_gives_another_signature(name: str) -> None:
    assert signature(sign(name, method="GET")) != signature(sign(name, method="DELETE"))


@names
def test_the_letter_case_of_the_method_does_not_matter(name: str) -> None:
    assert signature(sign(name, method="get")) == signature(sign(name, method="GET"))


@names
@given(one=segments, other=segments)
def test_another_path_gives_another_signature(name: str, one: list[str], other: list[str]) -> None:
    assume(one != other)
    first, second = ("/".join(quote(segment, safe="") for segment in path) for path in (one, other))
    assert signature(sign(name, url=f"https://api.example.com/{first}")) != signature(sign(name, url=f"https://api.example.com/{second}"))


@names
@given(pairs=values, data=st.data())
def test_another_value_in_the_query_gives_another_signature(name: str, pairs: dict[str, str], data: st.DataObject) -> None:
    changed = data.draw(st.sampled_from(sorted(pairs)))
    first, second = (
        "&".join(f"{key}={quote(value, safe='')}" for key, value in query.items())
        for query in (pairs, {**pairs, changed: pairs[changed] + "x"})
    )
    assert signature(sign(name, url=f"{URL}?{first}")) != signature(sign(name, url=f"{URL}?{second}"))


@names
@given(one=st.binary(max_size=20), other=st.binary(max_size=20))
def test_another_body_gives_another_signature(name: str, one: bytes, other: bytes) -> None:
    assume(one != other)
    assert signature(sign(name, body=one)) != signature(sign(name, body=other))


@names
def test_another_secret_gives_another_signature(name: str) -> None:
    sample = SAMPLES[name]
    for secret in sample.secrets - {"private_key"}:
        changed = sign(name, parts={**sample.parts, secret: "fake-other-value"})
        assert signature(changed) != signature(sign(name))


@with_header
def test_another_value_of_a_signed_header_gives_another_signature(name: str) -> None:
    header = SAMPLES[name].covers_header
    one, other = (sign(name, headers={header.title(): value}) for value in ("text/one", "text/other"))
    assert signature(one) != signature(other)


@with_token
def test_the_token_of_temporary_credentials_is_sent_and_signed(name: str) -> None:
    sample = SAMPLES[name]
    one, other = (sign(name, parts={**sample.parts, sample.token: f"fake-token-{number}"}) for number in (1, 2))
    header = next(header for header, value in one.headers.items() if value == "fake-token-1")
    assert other.headers[header] == "fake-token-2"
    assert len({signature(one), signature(other), signature(sign(name))}) == 3
    assert header.lower() in authorization(one).replace("=", ";").replace(",", ";").split(";")


@with_token
def test_a_token_in_a_header_of_the_caller_does_not_stay(name: str) -> None:
    sample = SAMPLES[name]
    header = next(
        header for header, value in sign(name, parts={**sample.parts, sample.token: "fake-token"}).headers.items() if value == "fake-token"
    )
    assert sign(name, headers={header.swapcase(): "stale"}) == sign(name)


@names
@given(body=st.binary(max_size=9), query=values)
def test_no_secret_is_sent(name: str, body: bytes, query: dict[str, str]) -> None:
    sample = SAMPLES[name]
    url = URL + "?" + "&".join(f"{key}={quote(value, safe='')}" for key, value in query.items())
    signed = sign(name, url=url, body=body)
    for secret in sample.secrets:
        for line in sample.parts[secret].splitlines():
            assert not any(line in text for text in (signed.url, *signed.headers.values()))
    assert repr(signed) == "Signed()"


@names
@pytest.mark.parametrize("letters", [str.lower, str.upper, str.swapcase])
def test_headers_of_the_caller_with_the_names_of_the_signature_are_replaced(name: str, letters: object) -> None:
    assert callable(letters)
    plain = sign(name)
    stale = {letters(header): "stale" for header in plain.headers if header != "Content-Type"}
    assert sign(name, headers=stale) == plain


@names
def test_other_headers_of_the_caller_stay(name: str) -> None:
    assert sign(name, headers={"accept": "text/plain"}).headers["accept"] == "text/plain"


@names
def test_a_default_port_is_no_part_of_the_host_and_another_one_is(name: str) -> None:
    plain = sign(name, url="https://api.example.com/")
    assert sign(name, url="https://API.example.com:443/") == plain
    other = sign(name, url="https://api.example.com:8443/")
    assert other.url == "https://api.example.com:8443/"
    if name != "exo2":  # which signs no host
        assert signature(other) != signature(plain)
    if "Host" in other.headers:
        assert other.headers["Host"] == "api.example.com:8443"


@names
def test_the_host_header_of_the_caller_is_replaced_where_the_host_is_signed(name: str) -> None:
    assert sign(name, headers={"hOsT": "other.example.com"}).headers.get("Host", "api.example.com") == "api.example.com"


@names
def test_an_option_with_the_name_of_a_part_is_used_in_its_place(name: str) -> None:
    sample = SAMPLES[name]
    part = next(iter(sample.parts))
    renamed = sign(name, parts={**sample.parts, part: "other"}, options={**sample.options, part: sample.parts[part]})
    assert renamed == sign(name)


@names
def test_a_part_that_is_missing_or_empty_is_named(name: str) -> None:
    sample = SAMPLES[name]
    for part in sample.parts:
        for parts in ({key: value for key, value in sample.parts.items() if key != part}, {**sample.parts, part: ""}):
            with pytest.raises(ConfigurationError, match=f"the signature {name} needs {part}, which is missing"):
                sign(name, parts=parts)


@names
def test_a_provider_file_that_has_what_the_signature_needs_has_no_problem(name: str) -> None:
    sample = SAMPLES[name]
    assert problems(name, sample.options, set(sample.parts)) == []
    assert problems(name, {**sample.options, **dict.fromkeys(sample.parts, "{other}")}, set()) == []


@names
def test_a_provider_file_learns_which_parts_are_missing(name: str) -> None:
    sample = SAMPLES[name]
    assert problems(name, sample.options, set()) == [
        f"must have {part}, or the method an input of this name, which the signature {name} needs" for part in sample.parts
    ]


@names
def test_an_option_that_is_not_read_is_a_problem(name: str) -> None:
    sample = SAMPLES[name]
    found = problems(name, {**sample.options, "colour": "blue"}, set(sample.parts))
    assert found == [f"must not have colour, which the signature {name} does not read"]


@pytest.mark.parametrize(("name", "option"), [("aws4", "service"), ("aws4", "region"), ("tc3", "service")])
def test_an_option_that_is_missing_is_a_problem(name: str, option: str) -> None:
    sample = SAMPLES[name]
    options = {key: value for key, value in sample.options.items() if key != option}
    assert problems(name, options, set(sample.parts)) == [f"must have {option}, which the signature {name} needs"]
    with pytest.raises(ConfigurationError, match=f"needs {option}, which is missing"):
        sign(name, options=options)
