from __future__ import annotations

import pytest

from cloud_integrations.protocol.http import (
    MAX_BODY,
    UNREADABLE,
    HttpRequest,
    HttpResponse,
    UnusableBodyError,
    find_path,
    merge_headers,
    read_json_object,
    read_text,
)


@pytest.mark.requirement("OAU-037")
@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "not JSON"),
        (b"[]", "not a JSON object"),
        (b'"text"', "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'{"a": 1} trailing', "not JSON"),
        (b'{"a": ' * 65 + b"1" + b"}" * 65, "nested"),
        (b"[" * 60_000, "nested"),
        (b"{" + b" " * MAX_BODY + b"}", "too long"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(body, problem):
    with pytest.raises(UnusableBodyError, match=problem):
        read_json_object(body)


@pytest.mark.requirement("OAU-037")
def test_64_levels_and_brackets_in_text_are_read():
    assert read_json_object(b'{"a": ' * 64 + b"1" + b"}" * 64)["a"]["a"]
    assert read_json_object(b'{"a": "[[[[[[[[[[[[[[[[[[[[ \\" {{{"}') == {"a": '[[[[[[[[[[[[[[[[[[[[ " {{{'}


@pytest.mark.requirement("OAU-037")
@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": 1, "a": 2}', UNREADABLE),
        (b'{"a": 1, "a": 1}', 1),
        (b'{"a": 1, "a": 1.0}', UNREADABLE),
        (b'{"a": 1, "a": true}', UNREADABLE),
        (b'{"a": 1, "a": 2, "a": 1}', UNREADABLE),
        (b'{"a": {"b": 1}, "a": {"b": 1}}', {"b": 1}),
        (b'{"a": {"b": 1, "b": 2}}', {"b": UNREADABLE}),
        (b'{"a": NaN}', UNREADABLE),
        (b'{"a": Infinity}', UNREADABLE),
        (b'{"a": -Infinity}', UNREADABLE),
        (b'{"a": ' + b"1" * 5000 + b"}", UNREADABLE),
        (b'{"a": "\xff"}', "\udcff"),
        (b'\xef\xbb\xbf{"a": 1}', 1),
    ],
)
def test_what_cannot_be_read_in_one_member_leaves_the_others(body, value):
    read = read_json_object(body[:-1] + b', "other": 1}')
    assert read == {"a": value, "other": 1}
    assert type(read["a"]) is type(value)


def test_what_is_unreadable_is_neither_empty_nor_any_value():
    assert UNREADABLE
    assert repr(UNREADABLE) == "UNREADABLE"
    assert not isinstance(UNREADABLE, str | int | float | list | dict)


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        ("é".encode("latin-1"), "text/plain; charset=latin1", "é"),
        ("é".encode("latin-1"), "text/plain; q=1; CHARSET='iso-8859-1'", "é"),
        ("é".encode(), "text/plain; charset=ascii", "é"),
        ("é".encode(), "text/plain; charset=", "é"),
        ("é".encode(), "text/plain; charset=a\0b", "é"),
        ("é".encode(), "text/plain; charset=cp037", "é"),
        ("é".encode("utf-16"), "text/plain; charset=utf-8", "é"),
        (b"\xff\xfea", "", "\udcff\udcfea"),
    ],
)
def test_a_text_is_decoded_by_its_mark_its_charset_or_as_utf8(body, content_type, text):
    assert read_text(body, content_type=content_type) == text


@pytest.mark.requirement("OAU-045")
def test_an_unusable_body_is_not_repeated():
    with pytest.raises(UnusableBodyError) as raised:
        read_json_object(b'{"access_token": "fake-secret"')
    assert "fake-secret" not in repr(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


@pytest.mark.requirement("OAU-045", "OAU-080")
def test_messages_show_neither_query_headers_nor_body():
    request = HttpRequest(
        method="POST", url="https://a.example/?fake-secret", headers={"a": "fake-secret"}, body=b"fake-secret", provider_id="a"
    )
    assert "fake-secret" not in repr(request)
    assert "fake-secret" not in repr(HttpResponse(status=200, headers={"a": "fake-secret"}, body=b"fake-secret"))


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a", {"b": [10, {"c": 20}]}),
        ("a.b.0", 10),
        ("a.b.1.c", 20),
        ("a.b.2", None),
        ("a.b.x", None),
        ("a.b.0.c", None),
        ("x", None),
        ("a.b.*", 10),
        ("a.*.b", None),
    ],
)
def test_a_path_steps_into_objects_and_arrays(path, found):
    assert find_path({"a": {"b": [10, {"c": 20}]}}, path) == found


def test_a_media_type_is_read_without_its_parameters():
    assert HttpResponse(status=200, headers={"content-type": " Application/JSON; charset=utf-8"}).content_type == "application/json"
    assert HttpResponse(status=200).content_type == ""


def test_a_later_header_wins_whatever_its_case():
    assert merge_headers({"Accept": "a", "X": "1"}, {"accept": "b"}) == {"accept": "b", "X": "1"}
