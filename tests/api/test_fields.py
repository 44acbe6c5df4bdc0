"""The fields of a user: valid and invalid values, and their limits."""

import json

import pytest

from tests.http.answer import invalid
from tests.http.api import Api

MAX = 2**63 - 1
MIN = -(2**63)

NAMES = {
    "one character": "a",
    "256 characters": "n" * 256,
    "256 astral characters": "😀" * 256,
    "256 combining characters": "e\u0301" * 128,
    "a space": " ",
    "a NUL": "a\0b",
    "a line break": "a\nb",
    "markup": "<b>'\"&\\/",
    "right to left": "\u202eabc",
    "not a character": "\uffff\ufdd0",
    "last of Unicode": "\U0010ffff",
}
BAD_NAMES: list[object] = ["", "n" * 257, "😀" * 257, "n" * 60_000, None, 1, True, [], {}, ["Ada"]]
EMAILS = [
    "a@b.co",
    "ada@example.com",
    "ada.lovelace@example.com",
    "ada+tag@example.co.uk",
    "a-b_c.d@sub.sub.example.museum",
    "o'brien@example.ie",
    "1@example.com",
    "!#$%&'*+-/=?^_`{|}~@example.org",
    "ADA@EXAMPLE.COM",
    "a@xn--bcher-kva.example",
    "x" * 64 + "@example.com",
    "a@" + "d" * 63 + ".com",
    f"{'x' * 64}@{'d' * 63}.{'e' * 63}.{'f' * 57}.com",
    "a@1.2.com",
    "a@b-c.de",
]
BAD_EMAILS: list[object] = [
    "",
    "ada",
    "@",
    "ada@",
    "@example.com",
    "ada@example",
    "ada@@example.com",
    "ada@home@example.com",
    "ada example@example.com",
    "ada@exa mple.com",
    " ada@example.com",
    "ada@example.com ",
    "ada@example.com\n",
    "\nada@example.com",
    "ada@example.com\nbcc:x@example.com",
    ".ada@example.com",
    "ada.@example.com",
    "ada..b@example.com",
    "ada@.example.com",
    "ada@example..com",
    "ada@example.com.",
    "ada@-example.com",
    "ada@example-.com",
    "ada@example.c",
    "ada@example.123",
    "ada@exam_ple.com",
    "ada@[127.0.0.1]",
    "ada@127.0.0.1",
    "Ada <ada@example.com>",
    '"ada"@example.com',
    "ada,b@example.com",
    "ada(comment)@example.com",
    "ädä@example.com",
    "ada@exämple.com",
    "ada@example.com\0",
    "x" * 65 + "@example.com",
    "a@" + "d" * 64 + ".com",
    f"{'x' * 64}@{'d' * 63}.{'e' * 63}.{'f' * 58}.com",
    "a" * 60_000,
    "a@" + "a." * 30_000,
    None,
    1,
    True,
    [],
    {},
]
IDS = [
    "a",
    "Z",
    "0",
    "x" * 128,
    "a.b_c~d@e:f+g-h",
    "a" + "-" * 127,
    "a..",
    "counts",
    "Count",
    "count2",
    "acount",
    "00",
    "ada@example.com",
]
BAD_IDS: list[object] = [
    "",
    "count",
    ".",
    "..",
    ".a",
    "-a",
    "_a",
    "~a",
    "@a",
    ":a",
    "+a",
    "a b",
    "a/b",
    "a\\b",
    "a%20b",
    "a?b",
    "a#b",
    "a,b",
    "a;b",
    "a=b",
    "a&b",
    "a'b",
    'a"b',
    "a!b",
    "a\n",
    "a\0",
    "\na",
    "é",
    "aé",
    "٣",
    "a٣",
    "ａ",
    "😀",
    "x" * 129,
    "x" * 60_000,
    None,
    1,
    1.5,
    True,
    [],
    {},
    ["a"],
]
GROUPS = [0, 1, -1, MAX, MIN, MAX - 1, MIN + 1, 2**53 + 1, -(2**53) - 1]
BAD_GROUPS = {
    "2^63": b"9223372036854775808",
    "-2^63-1": b"-9223372036854775809",
    "2^64-1": b"18446744073709551615",
    "2^64": b"18446744073709551616",
    "-2^64": b"-18446744073709551616",
    "10^400": b"1" + b"0" * 400,
    "-10^400": b"-1" + b"0" * 400,
    "float": b"1.5",
    "whole float": b"1.0",
    "zero float": b"0.0",
    "negative zero float": b"-0.0",
    "exponent": b"1e3",
    "capital exponent": b"1E3",
    "zero exponent": b"1e0",
    "exponent beyond 64 bits": b"1e19",
    "large exponent": b"1e308",
    "small exponent": b"1e-400",
    "2^63 as a float": b"9223372036854775808.0",
    "true": b"true",
    "false": b"false",
    "null": b"null",
    "string": b'"1"',
    "empty string": b'""',
    "array": b"[1]",
    "object": b"{}",
}


def short(value: object) -> str:
    text = ascii(value)
    return text if len(text) < 40 else f"{text[:30]}...{len(text)}"


def check_accepted(api: Api, field: str, value: object) -> None:
    """Check that a POST and a PUT store a value, and that a GET returns it unchanged."""
    if field != "id":
        user = api.make(**{field: value})
        assert api.call("GET", f"/api/users/{user['id']}").user[field] == value
    user = api.make()
    changed = api.call("PUT", f"/api/users/{user['id']}", {field: value})
    assert (changed.status, changed.user) == (200, user | {field: value})
    assert api.call("GET", f"/api/users/{user['id']}").user == user | {field: value}


def check_refused(api: Api, field: str, value: bytes) -> None:
    """Check that a POST and both forms of a PUT refuse a value.

    Args:
        field: the name of the field.
        value: the value in JSON.
    """
    user = api.valid()
    others = {name: user[name] for name in user if name != field}
    sent = json.dumps(others).encode().removesuffix(b"}") + b',"%b":%b}' % (field.encode(), value)
    details = invalid(api.call("POST", "/api/users/", sent))
    assert set(details) == {field}
    path = f"/api/users/{user['id']}"
    assert api.call("GET", path).status == 404
    assert set(invalid(api.call("PUT", path, b'{"%b":%b}' % (field.encode(), value)))) == {field}
    assert set(invalid(api.call("PUT", "/api/users/", sent))) == {field}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
def test_name(api: Api, name: str) -> None:
    """A name is any text of 1 to 256 code points. A GET returns it unchanged."""
    check_accepted(api, "name", name)


@pytest.mark.parametrize("name", BAD_NAMES, ids=short)
def test_bad_name(api: Api, name: object) -> None:
    """A name that is empty, longer than 256 code points or not text gets 400."""
    check_refused(api, "name", json.dumps(name).encode())


@pytest.mark.parametrize("email", EMAILS, ids=short)
def test_email(api: Api, email: str) -> None:
    """A POST with a usual e-mail address succeeds. A GET returns the address unchanged."""
    check_accepted(api, "email", email)


@pytest.mark.parametrize("email", BAD_EMAILS, ids=short)
def test_bad_email(api: Api, email: object) -> None:
    """A value that is not an e-mail address gets 400."""
    check_refused(api, "email", json.dumps(email).encode())


@pytest.mark.parametrize("group", GROUPS)
def test_group(api: Api, group: int) -> None:
    """A group is any signed integer of 64 bits. A GET returns it exactly."""
    check_accepted(api, "group", group)


@pytest.mark.parametrize("group", BAD_GROUPS.values(), ids=BAD_GROUPS.keys())
def test_bad_group(api: Api, group: bytes) -> None:
    """A group beyond 64 bits or of another type gets 400, even 1.0."""
    check_refused(api, "group", group)


@pytest.mark.parametrize("id", IDS, ids=short)
def test_id(api: Api, id: str) -> None:
    """A POST succeeds with an id of 1 to 128 of A-Za-z0-9._~@:+-, the first one alphanumeric."""
    user = api.valid(id=id)
    made = api.call("POST", "/api/users/", user)
    # In a running system, another client may have created a user with such a simple id.
    assert (made.status, made.user) == (201, user) or made.status == 409
    assert api.call("GET", f"/api/users/{id}").user["id"] == id
    if made.status == 201:
        assert api.call("DELETE", str(made.header("location"))).status == 204


@pytest.mark.parametrize("id", BAD_IDS, ids=short)
def test_bad_id(api: Api, id: object) -> None:
    """Any other id in a body gets 400."""
    details = invalid(api.call("POST", "/api/users/", api.valid() | {"id": id}))
    assert set(details) == {"id"}
    assert set(invalid(api.call("PUT", "/api/users/", {"id": id, "group": 1}))) == {"id"}


def test_unknown_field(api: Api) -> None:
    """A field that users do not have gets 400, with any value."""
    for field in ("age", "ID", "Name", "id ", "", "__proto__", "é", "\0"):
        sent = api.valid() | {field: None}
        assert len(invalid(api.call("POST", "/api/users/", sent))) == 1
        assert len(invalid(api.call("PUT", f"/api/users/{sent['id']}", {field: 1}))) == 1


def test_many_unknown_fields(api: Api) -> None:
    """A body with 3,000 unknown fields gets 400 with one detail for each."""
    sent = {f"field{number}": number for number in range(3000)}
    assert len(invalid(api.call("PUT", f"/api/users/{api.fresh()}", sent))) == 3000


def test_explanation_of_a_wrong_value(api: Api) -> None:
    """The explanation of a wrong value states the valid values and the wrong one."""
    details = invalid(api.call("PUT", f"/api/users/{api.fresh()}", {"group": "12", "name": 5}))
    assert "whole number" in details["group"]
    assert details["group"].endswith('; it got the text "12"')
    assert details["name"] == "it takes text of 1 to 256 characters; it got the number 5"
