"""Request bodies: JSON objects, malformed JSON, large and chunked bodies."""

import json
import socket
import time

import pytest

from tests.http.answer import invalid, refusal
from tests.http.api import Api
from tests.http.raw import read_answer

MAX_BODY_BYTES = 64 * 1024
ADA = b'"name":"Ada","email":"ada@example.com","group":1'


BAD = {
    "empty": b"",
    "white space": b" \r\n\t",
    "NUL": b"\0",
    "NaN": b'{%b,"x":NaN}' % ADA,
    "NaN as group": b'{"group":NaN}',
    "Infinity": b'{"group":Infinity}',
    "minus Infinity": b'{"group":-Infinity}',
    "number beyond a float": b'{"group":1e400}',
    "number of 60,000 digits": b'{"group":%b}' % (b"9" * 60_000),
    "negative number of many digits": b'{"group":-%b}' % (b"1" * 60_000),
    "fraction of many digits": b'{"group":0.%b}' % (b"1" * 60_000),
    "exponent of many digits": b'{"group":1e%b}' % (b"9" * 60_000),
    "leading zero": b'{"group":01}',
    "plus sign": b'{"group":+1}',
    "hexadecimal": b'{"group":0x1}',
    "bare fraction": b'{"group":.5}',
    "open fraction": b'{"group":5.}',
    "duplicate key": b'{"group":1,"group":1}',
    "duplicate key with white space": b'{"group" : 1 , "group"\n:\t2}',
    "duplicate key, escaped": b'{"group":1,"\\u0067roup":2}',
    "duplicate key, both escaped": b'{"\\u0067roup":1,"\\u0067\\u0072oup":2}',
    "duplicate key of a string": b'{"name":"a","name":"b"}',
    "duplicate id": b'{"id":"a","\\u0069d":"b",%b}' % ADA,
    "duplicate unknown key": b'{"x":1,"x":2}',
    "duplicate key within": b'{"name":{"a":1,"a":2}}',
    "duplicate key deep within": b'{"name":[[{"a":1},{"a":1,"\\u0061":2}]]}',
    "duplicate key of 30,000 characters": b'{"%b":1,"%b":2}' % (b"k" * 30_000, b"k" * 30_000),
    "lone high surrogate": b'{"name":"\\ud800"}',
    "lone low surrogate": b'{"name":"\\udc00"}',
    "surrogates the wrong way round": b'{"name":"\\udc00\\ud800"}',
    "high surrogate before a letter": b'{"name":"\\ud800a"}',
    "two high surrogates": b'{"name":"\\ud800\\ud800"}',
    "lone surrogate in a key": b'{"\\ud800":1}',
    "surrogate in UTF-8": b'{"name":"\xed\xa0\x80"}',
    "no UTF-8": b'{"name":"\xff"}',
    "no UTF-8 in a key": b'{"\xff":1}',
    "overlong UTF-8": b'{"name":"\xc0\xaf"}',
    "truncated UTF-8": b'{"name":"\xe2\x82"}',
    "UTF-8 beyond Unicode": b'{"name":"\xf4\x90\x80\x80"}',
    "byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": json.dumps({"group": 1}).encode("utf-16"),
    "UTF-32": json.dumps({"group": 1}).encode("utf-32"),
    "Latin-1": '{"name":"é"}'.encode("latin-1"),
    "control character in a string": b'{"name":"a\x01b"}',
    "line break in a string": b'{"name":"a\nb"}',
    "unknown escape": b'{"name":"\\x41"}',
    "short escape": b'{"name":"\\u12"}',
    "arrays nested 30,000 deep": b"[" * 30_000 + b"]" * 30_000,
    "arrays nested 1,000 deep": b'{"id":%b}' % (b"[" * 1000 + b"]" * 1000),
    "objects nested 10,000 deep": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "arrays nested without end": b'{"id":' + b"[" * 60_000,
    "trailing garbage": b"{}x",
    "trailing brace": b"{}}",
    "trailing NUL": b"{}\0",
    "two objects": b"{}{}",
    "trailing comma": b'{"group":1,}',
    "comma alone": b"{,}",
    "comment": b"{} // nothing",
    "single quotes": b"{'group':1}",
    "bare key": b"{group:1}",
    "number as key": b"{1:1}",
    "unfinished": b'{"group":',
    "unfinished string": b'{"name":"Ada',
    "capital True": b'{"group":True}',
    "form": b"group=1",
    "array": b"[]",
    "array of users": b"[{}]",
    "string": b'"ada"',
    "number": b"1",
    "true": b"true",
    "null": b"null",
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD.keys())
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/api/users/"), ("PUT", "/api/users/"), ("PUT", "{path}"), ("PATCH", "{path}")],
    ids=["POST", "PUT", "PUT one", "PATCH one"],
)
def test_refused(api: Api, method: str, path: str, body: bytes) -> None:
    """A body that is not one unambiguous JSON object gets 400. The connection stays open."""
    answer = api.call(method, path.format(path="/api/users/no-such-user"), body)
    invalid(answer)
    assert len(answer.body) < 4096
    assert answer.header("connection") is None
    assert api.call("GET", "/healthz").status == 200


def test_refused_body_changes_nothing(api: Api) -> None:
    """A body with two values for one field gets 400 and changes nothing."""
    user = api.make(group=1)
    path = f"/api/users/{user['id']}"
    assert set(invalid(api.call("PUT", path, b'{"group":2,"group":3}'))) == {"group"}
    assert api.call("GET", path).user == user


@pytest.mark.parametrize("depth", [10, 100, 200, 500, *range(900, 1030, 5)])
@pytest.mark.parametrize("shape", [b"[]", b"{}"], ids=["arrays", "objects"])
def test_nesting_of_any_depth(api: Api, shape: bytes, depth: int) -> None:
    """A nested value gets 400 at any depth, also close to the parser's limit."""
    if shape == b"[]":
        value = b"[" * depth + b"]" * depth
    else:
        value = b'{"a":' * depth + b"1" + b"}" * depth
    for field in (b"id", b"group", b"other"):
        invalid(api.call("POST", "/api/users/", b'{"%b":%b}' % (field, value)))


def test_every_spelling_of_json(api: Api) -> None:
    """White space, escapes and non-ASCII text in a body do not change its meaning."""
    user = api.valid(name='Ärger/😀\u2028\t"\\', group=-1)
    escaped = json.dumps(user, ensure_ascii=True, indent=3).replace("/", "\\/").encode()
    for body in (
        b" \r\n\t" + escaped + b"\n\n  ",
        json.dumps(user, ensure_ascii=False).encode(),
        b"".join(b"\\u%04x" % byte if byte == 0x61 else bytes([byte]) for byte in escaped),
    ):
        answer = api.call("POST", "/api/users/", body)
        assert answer.status in (201, 409), answer.body
    assert api.call("GET", f"/api/users/{user['id']}").user == user


def padded(user: dict[str, object], size: int) -> bytes:
    body = json.dumps(user).encode()
    return body + b" " * (size - len(body))


def test_longest_body(api: Api) -> None:
    """A POST with a body of 64 KiB succeeds."""
    assert api.call("POST", "/api/users/", padded(api.valid(), MAX_BODY_BYTES)).status == 201


@pytest.mark.parametrize("size", [MAX_BODY_BYTES + 1, 3 * MAX_BODY_BYTES, 5_000_000])
def test_too_large(api: Api, size: int) -> None:
    """A body beyond 64 KiB gets 413 and creates nothing. The connection stays open."""
    user = api.valid()
    path = f"/api/users/{user['id']}"
    for method, target in (("POST", "/api/users/"), ("PUT", "/api/users/"), ("PATCH", path)):
        answer = api.call(method, target, padded(user, size))
        details = refusal(answer, 413, "InvalidRequestError")
        assert details == {
            "": f"A body takes at most {MAX_BODY_BYTES} bytes, and this one declares {size};"
            " nothing was changed; send a smaller body"
        }
    assert api.call("GET", path).status == 404


def test_too_large_is_refused_before_it_arrives(api: Api) -> None:
    """A Content-Length beyond 64 KiB gets 413 before the body arrives."""
    for length in ("65537", "9999999999", "18446744073709551615"):
        request = f"POST /api/users/ HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
        (answer,) = api.raw(request.encode())
        assert length in refusal(answer, 413, "InvalidRequestError")[""]


def test_expect_100_continue(api: Api) -> None:
    """`Expect: 100-continue` gets 100 for a body within the limit, and 413 for a longer one."""
    head = b"PUT /api/users/ HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: "
    with api.socket() as connection:
        stream = connection.makefile("rb")
        connection.sendall(head + b"2\r\n\r\n")
        assert read_answer(stream).status == 100
        connection.sendall(b"{}")
        assert set(invalid(read_answer(stream))) == {"id"}
        connection.sendall(head + b"65537\r\n\r\n")
        refusal(read_answer(stream), 413, "InvalidRequestError")


def chunked(*chunks: bytes, method: bytes = b"POST", trailers: bytes = b"") -> bytes:
    parts = [b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks]
    head = b"%b /api/users/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" % method
    return head + b"".join(parts) + b"0\r\n" + trailers + b"\r\n"


def test_chunked(api: Api) -> None:
    """A POST with a body in small chunks creates its user."""
    user = api.valid()
    body = json.dumps(user).encode()
    (answer,) = api.raw(chunked(*(body[at : at + 7] for at in range(0, len(body), 7))))
    assert (answer.status, answer.user) == (201, user)


def test_longest_chunked_body(api: Api) -> None:
    """A POST with a chunked body of 64 KiB succeeds."""
    body = padded(api.valid(), MAX_BODY_BYTES)
    (answer,) = api.raw(chunked(*(body[at : at + 1000] for at in range(0, len(body), 1000))))
    assert answer.status == 201


def test_chunked_too_large(api: Api) -> None:
    """A chunked body beyond 64 KiB gets 413 and creates nothing. The connection stays open."""
    user = api.valid()
    body = padded(user, 3 * MAX_BODY_BYTES)
    request = chunked(*(body[at : at + 5000] for at in range(0, len(body), 5000)))
    after = f"GET /api/users/{user['id']} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    with api.socket() as connection:
        stream = connection.makefile("rb")
        connection.sendall(request)
        refusal(read_answer(stream), 413, "InvalidRequestError")
        connection.sendall(after)
        assert read_answer(stream).status == 404


@pytest.mark.parametrize(
    "trailer",
    [
        b'If-Match: "0123456789abcdef"',
        b"If-None-Match: *",
        b"Idempotency-Key: " + b"x" * 300,
        b"Content-Type: text/plain",
        b"Expect: 100-continue",
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_trailers_are_not_headers(api: Api, trailer: bytes, at_once: bool) -> None:
    """Trailers have no effect, even if they have a header's name.

    `at_once`: True sends the trailers with the body. False sends them separately.
    """
    user = api.make()
    body = json.dumps({"id": user["id"], "group": 7}).encode()
    whole = chunked(body, method=b"PUT", trailers=trailer + b"\r\n")
    with api.socket() as connection:
        stream = connection.makefile("rb")
        for part in (whole,) if at_once else (whole[: -len(trailer)], whole[-len(trailer) :]):
            connection.sendall(part)
            time.sleep(0.02)
        answer = read_answer(stream)
        assert (answer.status, answer.user) == (200, user | {"group": 7})
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_answer(stream).status == 200


def test_chunked_body_without_end(api: Api) -> None:
    """A chunked body that never ends gets 413 as soon as it is too large."""
    with api.socket() as connection:
        connection.sendall(chunked(b" " * (MAX_BODY_BYTES + 1)).removesuffix(b"0\r\n\r\n"))
        details = refusal(read_answer(connection.makefile("rb")), 413, "InvalidRequestError")
        assert f"at most {MAX_BODY_BYTES} bytes, and this one has more" in details[""]


def test_body_shorter_than_declared(api: Api) -> None:
    """A request whose connection ends before its body does changes nothing."""
    user = api.valid()
    body = json.dumps(user).encode()
    for length in (len(body) + 1, len(body) + 1000):
        head = f"POST /api/users/ HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
        with api.socket() as connection:
            connection.sendall(head.encode() + body)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(65_536)
    assert api.call("GET", f"/api/users/{user['id']}").status == 404


def test_body_longer_than_declared(api: Api) -> None:
    """The body ends at its declared length. The next byte starts the next request."""
    body = json.dumps(api.valid()).encode()
    head = f"POST /api/users/ HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body) - 1}\r\n\r\n"
    answers = api.raw(head.encode() + body, methods=("POST", "?"))
    invalid(answers[0])
    assert answers[1].status == 400
