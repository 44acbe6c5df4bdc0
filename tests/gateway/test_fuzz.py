"""A gateway answers arbitrary input with HTTP and JSON, and never with a defect."""

import json
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.http.answer import Answer, refusal
from tests.http.api import Api
from tests.http.retries import Undecided

GREATEST_ANSWER = 2_000_000
STATUSES = {200, 201, 204, 304, 400, 404, 405, 409, 412, 413, 431, 501, 505}
ERRORS = {
    400: "InvalidRequestError",
    404: "NotFoundError",
    405: "InvalidRequestError",
    409: "ConflictError",
    412: "ConflictError",
    413: "InvalidRequestError",
}

methods = st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
visible = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20)
parts = st.sampled_from(
    [
        "api",
        "users",
        "count",
        "healthz",
        "readyz",
        "fuzz-1",
        "fuzz-2",
        "",
        ".",
        "..",
        "%2F",
        "%",
        "%ff",
        "%00",
        "%63ount",
        "fuzz%2D1",
        ";",
        "~",
        "x" * 200,
    ]
)
queries = st.lists(
    st.tuples(
        st.sampled_from(["limit", "offset", "after", "x", ""]),
        st.sampled_from(["", "0", "1", "5", "-1", "1000", "1001", "AABh", "%FF", "+", "9" * 30])
        | visible,
    ),
    max_size=3,
).map(lambda pairs: "&".join(f"{name}={value}" for name, value in pairs))
paths = st.builds(
    lambda start, names, query: start + "/".join(names) + (f"?{query}" if query else ""),
    st.sampled_from(["/", "/api/users/", "/api/users", "/api/users/fuzz-1"]),
    st.lists(parts | visible, max_size=2),
    queries,
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.sampled_from(["fuzz-1", "fuzz-2", "count", "ada@example.com", 2**63, -(2**63)]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
users = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["fuzz-1", "fuzz-2"]) | values,
        "name": st.just("Ada") | values,
        "email": st.just("ada@example.com") | values,
        "group": st.integers(-3, 3) | values,
        "other": values,
    },
)
bodies = (
    users.map(lambda user: json.dumps(user).encode())
    | st.binary(max_size=40)
    | st.just(b'{"id":"fuzz-1","name":"Ada","email":"ada@example.com","group":1}')
    | st.just(b" " * 70_000)
)
field_values = (
    st.sampled_from(["*", '"x"', 'W/"x"', ",", '"', "fuzz", "close", "0", "gzip", "bytes=0-1"])
    | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
    | st.just("\u00e9\u00ff")
).map(str.strip)
headers = st.dictionaries(
    st.sampled_from(
        [
            "If-Match",
            "If-None-Match",
            "Idempotency-Key",
            "Content-Type",
            "Accept",
            "Range",
            "Accept-Encoding",
            "X-HTTP-Method-Override",
            "Cookie",
            "Upgrade",
            "Connection",
        ]
    ),
    field_values,
    max_size=3,
)


@pytest.fixture(scope="module")
def fuzzed(cluster_url: str) -> Iterator[Api]:
    """The API of the live system."""
    api = Api(cluster_url)
    yield api
    api.clean_up()


def check(method: str, answer: Answer) -> None:
    assert answer.status in STATUSES, (answer.status, answer.body)
    assert len(answer.body) < GREATEST_ANSWER
    if method == "HEAD" or answer.status in (204, 304):
        assert answer.body == b""
    elif answer.status in ERRORS:
        refusal(answer, answer.status, ERRORS[answer.status])
    else:
        assert answer.json is not None


@given(methods, paths, bodies | st.none(), headers)
@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_request(
    fuzzed: Api, method: str, path: str, body: bytes | None, headers: dict[str, str]
) -> None:
    """Each request gets a documented status, and errors have their exact JSON shape."""
    if headers.get("Connection") == "close":
        del headers["Connection"]
    try:
        answer = fuzzed.call(method, path, body, headers)
        check(method, answer)
        if answer.status == 201:
            fuzzed.delete_later(str(answer.user["id"]))
    except Undecided:
        return
    finally:
        if "Connection" in headers:
            fuzzed.clean_up()


pieces = st.sampled_from(
    [
        b"GET / HTTP/1.1\r\n",
        b"PUT /api/users/fuzz-1 HTTP/1.1\r\n",
        b"POST /api/users/ HTTP/1.1\r\n",
        b"GET /api/users/count HTTP/1.1\r\n\r\n",
        b"Host: x\r\n",
        b"Content-Length: 11\r\n",
        b"Content-Length: 0\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: Upgrade\r\nUpgrade: h2c\r\n",
        b"Connection: close\r\n",
        b"Expect: 100-continue\r\n",
        b"\r\n",
        b"\n",
        b"0\r\n\r\n",
        b"b\r\n",
        b'{"group":1}',
        b"HTTP/1.1 200 OK\r\n",
        b"\0",
    ]
) | st.binary(max_size=5)


@given(st.lists(pieces, max_size=8).map(b"".join))
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_bytes(fuzzed: Api, sent: bytes) -> None:
    """Arbitrary bytes get documented statuses or no response, and affect no other client."""
    with fuzzed.socket() as connection:
        connection.sendall(sent)
        connection.shutdown(1)
        received = b""
        while data := connection.recv(65_536):
            received += data
    lines = [line for line in received.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
    assert received.startswith(b"HTTP/1.1 ") or received == b""
    assert {int(line.split()[1]) for line in lines} <= STATUSES | {100, 503}
    assert b"text/plain" not in received
    assert fuzzed.call("GET", "/healthz").status == 200
