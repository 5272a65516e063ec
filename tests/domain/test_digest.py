"""HTTP Digest: the examples of the RFC, what other clients compute, and challenges that are not answered."""

from __future__ import annotations

import re
from urllib.request import parse_http_list, parse_keqv_list

import httpx
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from requests.auth import HTTPDigestAuth

from cloud_integrations.domain.digest import Challenge, find_challenge
from cloud_integrations.domain.secret import Secret

RFC = (
    'realm="http-auth@example.org", qop="auth, auth-int", algorithm={}, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", '
    'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)
CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
PLAIN = 'Digest realm="acme", qop="auth", nonce="fake-nonce"'


def answer(challenge: Challenge | None, **changes: str) -> dict[str, str]:
    assert challenge is not None
    asked = {"http_method": "GET", "url": "http://www.example.org/dir/index.html", "user": "Mufasa", "cnonce": CNONCE, **changes}
    header = challenge.answer(**asked, password=Secret("Circle of Life"))  # type: ignore[arg-type]
    return parse_keqv_list(parse_http_list(header.removeprefix("Digest ")))


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_rfc_7616_come_out(algorithm, response) -> None:
    assert answer(find_challenge("Digest " + RFC.format(algorithm))) == {
        "username": "Mufasa",
        "realm": "http-auth@example.org",
        "uri": "/dir/index.html",
        "algorithm": algorithm,
        "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        "nc": "00000001",
        "cnonce": CNONCE,
        "qop": "auth",
        "response": response,
        "opaque": "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS",
    }


TEXT = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters='"\\:'), min_size=1, max_size=20)


@given(
    realm=TEXT, nonce=TEXT, opaque=st.none() | TEXT, user=TEXT, query=st.sampled_from(["", "?a=1", "?a=%20b&c"]),
    algorithm=st.sampled_from(["", "MD5", "SHA-256", "MD5-sess", "SHA-256-sess"]), method=st.sampled_from(["GET", "POST"]),
)  # fmt: skip
def test_other_clients_compute_the_same(realm, nonce, opaque, user, query, algorithm, method) -> None:
    named = [f'realm="{realm}"', f'nonce="{nonce}"', 'qop="auth"']
    named += [f"algorithm={algorithm}"] if algorithm else []
    named += [] if opaque is None else [f'opaque="{opaque}"']
    challenge = "Digest " + ", ".join(named)
    url = f"https://api.acme.example/a/b{query}"
    # requests does not know the forms with a session.
    for compute in (_by_httpx, _by_requests)[: 1 if algorithm.endswith("-sess") else 2]:
        theirs = compute(challenge, method, url, user)
        ours = answer(find_challenge(challenge), http_method=method, url=url, user=user, cnonce=theirs["cnonce"])
        assert theirs | {"algorithm": algorithm} == ours | {"algorithm": algorithm}


def _by_httpx(challenge: str, method: str, url: str, user: str) -> dict[str, str]:
    flow = httpx.DigestAuth(user, "Circle of Life").sync_auth_flow(httpx.Request(method, url))
    request = next(flow)
    again = flow.send(httpx.Response(401, headers={"WWW-Authenticate": challenge}, request=request))
    return parse_keqv_list(parse_http_list(again.headers["Authorization"].removeprefix("Digest ")))


def _by_requests(challenge: str, method: str, url: str, user: str) -> dict[str, str]:
    auth = HTTPDigestAuth(user, "Circle of Life")
    auth.init_per_thread_state()
    auth._thread_local.chal = requests.utils.parse_dict_header(challenge.removeprefix("Digest "))
    header = auth.build_digest_header(method, url)
    assert header is not None
    return parse_keqv_list(parse_http_list(header.removeprefix("Digest ")))


def test_sha_256_is_preferred_wherever_it_stands_and_whatever_stands_around_it() -> None:
    both = f'Basic realm="Digest nonce", Digest {RFC.format("MD5")}, Negotiate abc==, digest {RFC.format("SHA-256")}, Bearer'
    found = find_challenge(both)
    assert found is not None
    assert found.algorithm == "SHA-256"
    unknown = find_challenge(f"Digest {RFC.format('SHA-512-256')}, Digest {RFC.format('MD5')}")
    assert unknown is not None
    assert unknown.algorithm == "MD5"


def test_what_a_server_quotes_is_quoted_again() -> None:
    found = find_challenge(r'Digest realm="a \"b\" \\c", qop=auth, nonce="n", stale=TRUE')
    assert found is not None
    assert (found.realm, found.stale) == (r'a "b" \c', True)
    assert r'realm="a \"b\" \\c"' in found.answer(http_method="GET", url="https://a.example", user="u", password=Secret("p"), cnonce="c")
    assert answer(found, url="https://a.example")["uri"] == "/"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Digest",
        "Basic realm=x",
        'Bearer realm="Digest realm=x, nonce=y, qop=auth"',
        PLAIN.replace('nonce="fake-nonce"', 'nonce=""'),
        PLAIN.replace('realm="acme", ', ""),
        PLAIN.replace('qop="auth"', 'qop="auth-int"'),
        PLAIN.replace('qop="auth", ', ""),
        PLAIN + ", algorithm=SHA-512-256",
        PLAIN + ', nonce="another"',
        PLAIN + ', opaque="\u00e9"',
        PLAIN + ', opaque="a\r\nX-Injected: 1"',
        PLAIN + f', opaque="{"x" * 5000}"',
        "Digest " + '"' * 4000,
    ],
)
def test_a_challenge_that_is_not_supported_is_not_answered(header) -> None:
    assert find_challenge(header) is None


@given(st.text(st.sampled_from('Digest digest=",\\ \t\r\nrealm="a"nonce="b"qop=auth'), max_size=300))
def test_no_header_breaks_the_reader_and_no_answer_breaks_a_header(header) -> None:
    found = find_challenge(header)
    if found is not None:
        written = found.answer(http_method="GET", url="https://a.example/", user="u", password=Secret("fake-password"), cnonce="c")
        assert written.isprintable()
        assert "fake-password" not in f"{written}{found!r}"
        assert not re.search(r"[\r\n]", written)
