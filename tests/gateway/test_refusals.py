"""The texts of refusals: each names the values that the gateway takes, and the one that it got."""

import json
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from starlette.routing import Route

from ddb.gateway.api.errors import Refused
from ddb.gateway.api.excerpt import described
from ddb.gateway.api.json_body import parse
from ddb.gateway.api.paging import no_parameters, parse_paging
from tests.fakes.records import FakeRecords
from tests.gateway.connected import Lane, connected, served
from tests.http.raw import request
from tests.loop import run

Answer = tuple[int, dict[bytes, bytes], bytes]
"""Status, headers and body."""
UNCHANGED = "Nothing was changed; correct the request and send it again"
ONE = "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"
ALL = "GET, HEAD, POST, PUT, OPTIONS"
READ = "GET, HEAD, OPTIONS"
PATHS = {
    "/api/users/": ALL,
    "/api/users/ada": ONE,
    "/api/users/nemo": ONE,
    "/api/users/count": READ,
    "/healthz": READ,
    "/readyz": READ,
    "/statusz": READ,
}
"""Each path, and the methods that it takes."""


def ask(lane: Lane, *sent: bytes) -> tuple[list[Answer], int]:
    """Send requests on one connection; return the answers, and how many operations began."""
    answers: list[Answer] = []
    begun = 0

    async def test() -> None:
        nonlocal begun
        async with connected(lane) as client:
            for each in sent:
                client.send(each)
                answers.append(await client.answer(has_body=not each.startswith(b"HEAD")))
            begun = client.records.begun

    run(test())
    return answers, begun


def refused(lane: Lane, status: int, sent: bytes) -> tuple[str, dict[str, str]]:
    """Send a request that gets a refusal; return its message, and its details by field."""
    ((got, _, body),), begun = ask(lane, sent)
    error = json.loads(body)
    assert (got, begun) == (status, 0), error
    details = {each["field"]: each["message"] for each in error.get("details", [])}
    return error["message"], details


LISTED = "this path has no such parameter; it takes after, limit, offset"
NONE = "this path has no such parameter; it takes none"


@pytest.mark.parametrize(
    ("method", "path", "fault"),
    [
        ("GET", "/api/users/", LISTED),
        ("POST", "/api/users/", NONE),
        ("PUT", "/api/users/", NONE),
        ("GET", "/api/users/count", NONE),
        ("GET", "/api/users/ada", NONE),
        ("PUT", "/api/users/ada", NONE),
        ("PATCH", "/api/users/ada", NONE),
        ("DELETE", "/api/users/ada", NONE),
    ],
)
def test_unknown_parameters(lane: Lane, method: str, path: str, fault: str) -> None:
    """A request with unknown parameters gets 400 with each name, and begins no operation."""
    sent = request(method, f"{path}?email=nemo@x.org&name=Nemo&email=b", b'{"group":5}')
    message, details = refused(lane, 400, sent)
    assert details == {"email": fault, "name": fault}
    assert message == f"email: {fault}; name: {fault}. {UNCHANGED}"


def test_all_faults_of_a_query_string() -> None:
    """A refusal names unknown and repeated parameters together, and cuts long names."""
    with pytest.raises(Refused) as caught:
        parse_paging(b"limit=1&limit=2&x=1&%b=2&offset=0" % (b"y" * 5000))
    assert {each.field for each in caught.value.details} == {"limit", "x", "y" * 60 + "..."}


def test_wrong_number_in_a_query_string() -> None:
    """A refusal of a limit names the limits and the beginning of the value."""
    for value, shown in ((b"many", '"many"'), (b"9" * 5000, '"' + "9" * 60 + '..."')):
        with pytest.raises(Refused) as caught:
            parse_paging(b"limit=" + value)
        (detail,) = caught.value.details
        assert detail.message == f"it takes a whole number from 1 to 1000; it got {shown}"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/statusz"])
def test_health_takes_any_parameter(lane: Lane, path: str) -> None:
    """A health check with a parameter, as some load balancers send it, works as without."""
    answers, _ = ask(lane, request("GET", f"{path}?verbose=1"))
    assert answers[0][0] == 200


FORMS = {
    "one field": b"name=Ada",
    "several fields": b"id=ada&name=Ada+Lovelace&email=ada%40example.com&group=1",
    "empty value": b"name=",
    "bracketed name": b"user[name]=Ada",
    "encoded name": b"user%5Bname%5D=Ada",
    "name that begins like a number": b"1=2",
    "name that begins like a negative number": b"-1=2",
    "name that begins like true": b"t=1",
    "name beyond ASCII": "größe=1".encode(),
    "JSON in a field": b'user={"id":"ada"}',
    "encoded JSON": b"%7B%22id%22%3A%22ada%22%7D",
    "multipart": b"--------------------------f00\r\nContent-Disposition: form-data;"
    b' name="name"\r\n\r\nAda\r\n--------------------------f00--\r\n',
    "multipart with a file": b"--f00\r\ncontent-disposition: form-data; name=x; filename=y\r\n"
    b"Content-Type: application/octet-stream\r\n\r\n\xff\0\r\n--f00--\r\n",
}
FORM_TYPES = ["application/x-www-form-urlencoded", "multipart/form-data; boundary=f00", ""]


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/api/users/"), ("PUT", "/api/users/"), ("PATCH", "/api/users/ada")],
)
def test_form(lane: Lane, method: str, path: str, form: bytes) -> None:
    """A form gets 400, which asks for JSON and calls the body a form."""
    for media_type in FORM_TYPES:
        extra = f"Content-Type: {media_type}\r\n" if media_type else ""
        message, details = refused(lane, 400, request(method, path, form, extra))
        assert set(details) == {""}
        assert "JSON is needed, and this body looks like a form" in message
        assert message.endswith(UNCHANGED)


@pytest.mark.parametrize(
    "body", [b"{name: 5}", b'{"a=b":}', b"[", b'"a=b', b"--", b"{}=", b"Ada", b"x = 1", b"=", b"1 "]
)
def test_malformed_json_is_no_form(lane: Lane, body: bytes) -> None:
    """Malformed JSON gets 400 with its own reason, also where curl names it a form."""
    extra = f"Content-Type: {FORM_TYPES[0]}\r\n"
    message, _ = refused(lane, 400, request("POST", "/api/users/", body, extra))
    assert "form;" not in message
    assert re.match("the body (is not valid JSON|must be a JSON object)", message)


def test_json_with_the_type_of_a_form(lane: Lane) -> None:
    """A JSON object is taken with any Content-Type, because curl sends that of a form."""
    extra = f"Content-Type: {FORM_TYPES[0]}\r\n"
    answers, _ = ask(lane, request("PUT", "/api/users/ada", b'{"name":"a=b"}', extra))
    assert answers[0][0] == 200


@pytest.mark.parametrize(
    ("body", "got"),
    [
        (b" [1]", "an array"),
        (b'"x"', "a text"),
        (b"1.5", "a number"),
        (b"-1", "a number"),
        (b"true", "a boolean"),
        (b"false", "a boolean"),
        (b"null", "null"),
    ],
)
def test_body_of_another_type(body: bytes, got: str) -> None:
    """A body of another JSON type gets 400 with the name of that type."""
    with pytest.raises(Refused) as caught:
        parse(body)
    assert caught.value.details[0].message == f"the body must be a JSON object; it got {got}"


NAME = "it takes text of 1 to 256 characters"
EMAIL = "it takes an e-mail address like ada@example.com, in ASCII, at most 254 characters"
GROUP = (
    "it takes a whole number of 64 bits without a decimal point,"
    " from -9223372036854775808 to 9223372036854775807"
)
ID = (
    "it takes text of 1 to 128 of A-Z a-z 0-9 . _ ~ @ : + -, beginning with a letter or digit;"
    " count is reserved"
)
FAULTS: list[tuple[str, str, str]] = [
    ("name", "5", f"{NAME}; it got the number 5"),
    ("name", "-1.5", f"{NAME}; it got the number -1.5"),
    ("name", "true", f"{NAME}; it got the boolean true"),
    ("name", "null", f"{NAME}; it got null"),
    ("name", '["Ada"]', f'{NAME}; it got the array ["Ada"]'),
    ("name", '{"first":"Ada"}', f'{NAME}; it got the object {{"first": "Ada"}}'),
    ("name", '""', f'{NAME}; it got the text ""'),
    ("name", json.dumps("x" * 257), f'{NAME}; it got text of 257 characters, "{"x" * 60}..."'),
    ("email", '"nemo"', f'{EMAIL}; it got the text "nemo"'),
    ("email", json.dumps("a" * 300), f'{EMAIL}; it got text of 300 characters, "{"a" * 60}..."'),
    ("group", '"12"', f'{GROUP}; it got the text "12"'),
    ("group", "1.0", f"{GROUP}; it got the number 1.0"),
    ("group", "9" * 400, f"{GROUP}; it got the number {'9' * 60}..."),
    ("group", f"[{'1,' * 300}1]", f"{GROUP}; it got the array [{'1, ' * 19}1,..."),
    ("id", "7", f"{ID}; it got the number 7"),
    ("id", '"a/b"', f'{ID}; it got the text "a/b"'),
    ("id", r'"a\u0000\nb"', rf'{ID}; it got the text "a\u0000\nb"'),
    ("age", "1", "there is no such field; a record has id, name, email, group"),
]


@pytest.mark.parametrize(("field", "value", "fault"), FAULTS, ids=range(len(FAULTS)))
def test_wrong_value(lane: Lane, field: str, value: str, fault: str) -> None:
    """A wrong value gets 400: the values that the field takes, and the one that it got."""
    body = f'{{"{field}":{value}}}'.encode()
    message, details = refused(lane, 400, request("PATCH", "/api/users/ada", body))
    assert details == {field: fault}
    assert message == f"{field}: {fault}. {UNCHANGED}"


def test_missing_fields(lane: Lane) -> None:
    """A missing field gets 400 with the values that it takes."""
    message, details = refused(lane, 400, request("POST", "/api/users/", b'{"group":1}'))
    assert details == {
        "name": f"this field is missing; {NAME}",
        "email": f"this field is missing; {EMAIL}",
    }
    assert message.endswith(UNCHANGED)
    _, details = refused(lane, 400, request("PUT", "/api/users/", b'{"group":1}'))
    assert details == {"id": "this field is missing; send it here or in the path /api/users/{id}"}


def test_impossible_id_in_a_path(lane: Lane) -> None:
    """A change of an id that no user can have gets 400 with the ids that users can have."""
    _, details = refused(lane, 400, request("PUT", "/api/users/a%20b", b'{"group":1}'))
    assert details == {"id": f'{ID}; it got the text "a b"'}


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values | st.builds(lambda text: text * 100, st.text(max_size=9)))
@example("\0" * 60)
@example('"' * 61)
@example(["x" * 1000])
@settings(max_examples=150, deadline=None)
def test_value_is_cut(value: object) -> None:
    """The description of a value has at most 60 of its characters."""
    longest = len('text of 65536 characters, ""...') + 60
    assert len(described(value)) <= longest


@pytest.mark.parametrize("path", PATHS)
def test_options(lane: Lane, path: str) -> None:
    """OPTIONS gets 204 with the same `Allow` as a 405, begins no operation, and has no body."""
    options = request("OPTIONS", f"{path}?limit=x", b"x")
    answers, begun = ask(lane, options, request("PROPFIND", path), request("GET", "/healthz"))
    assert [status for status, _, _ in answers] == [204, 405, 200]
    assert begun == 0
    headers = answers[0][1]
    assert headers[b"allow"] == answers[1][1][b"allow"] == PATHS[path].encode()
    assert not headers.keys() & {b"content-length", b"content-type"}


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_unknown_path(lane: Lane, method: str) -> None:
    """The 404 of an unknown path has the path and the collections, and a long path is cut."""
    for path, shown in (("/api/user", "/api/user"), ("/" + "x" * 900, f"/{'x' * 59}...")):
        message, details = refused(lane, 404, request(method, f"{path}?name=Ada", b""))
        assert details == {}
        assert message == (
            f"No resource has the path {shown}; nothing was changed; use a collection: /api/users/"
        )


def test_each_collection_is_named(lane: Lane) -> None:
    """The 404 of an unknown path names the collection of each route with an id."""
    config, _ = served(FakeRecords())
    routes = [route.path for route in config.app.routes if isinstance(route, Route)]  # type: ignore[union-attr]
    collections = [path.removesuffix("{id}") for path in routes if path.endswith("/{id}")]
    assert collections
    message, _ = refused(lane, 404, request("GET", "/"))
    assert message.rpartition(": ")[2].split(", ") == collections


def test_many_parameters() -> None:
    """A query string of up to 100 unknown parameters gets a detail for each, and more get one."""
    for count, details in ((100, 100), (101, 1), (13_000, 1)):
        with pytest.raises(Refused) as caught:
            no_parameters(b"&".join(b"%x" % number for number in range(count)))
        assert len(caught.value.details) == details
