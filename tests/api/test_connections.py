"""Connections: persistent, pipelined, interrupted, malformed and flooded."""

import random
import secrets
import socket
import threading
import time
from contextlib import suppress

import pytest

from tests.http.answer import refusal
from tests.http.api import Api
from tests.http.raw import read_answer, request
from tests.http.retries import RETRIES, Undecided

REQUESTS = 2_000
"""tests/gateway/test_lanes.py sends ten times as many, to a gateway without nodes."""
BATCH = 100
"""Requests that the client sends before it waits. Two batches are in flight."""


def flood(connection: socket.socket, piece: bytes, max_bytes: int) -> None:
    """Send a piece repeatedly, at most `max_bytes` in total.

    Raises:
        ConnectionError: the gateway has closed the connection.
    """
    for _ in range(max_bytes // len(piece)):
        connection.sendall(piece)
        time.sleep(0.0005)


def test_connection_stays_open(api: Api) -> None:
    """One connection serves one request after another, also after errors."""
    with api.socket() as connection:
        stream = connection.makefile("rb")
        for method, path, status in (
            ("GET", "/healthz", 200),
            ("GET", "/nothing", 404),
            ("HEAD", "/healthz", 200),
            ("POST", "/api/users/", 400),
            ("DELETE", "/api/users/no-such-user", 404),
            ("OPTIONS", "/api/users/", 204),
            ("GET", "/api/users/count", 200),
        ):
            connection.sendall(request(method, path))
            answer = read_answer(stream, method)
            assert answer.status == status
            assert answer.header("connection") is None


def test_connection_is_closed_on_request(api: Api) -> None:
    """The gateway closes a connection after `Connection: close` or an HTTP/1.0 request."""
    for head in (b"GET /healthz HTTP/1.1\r\nConnection: close\r\n", b"GET /healthz HTTP/1.0\r\n"):
        with api.socket() as connection:
            stream = connection.makefile("rb")
            connection.sendall(head + b"Host: x\r\n\r\n")
            answer = read_answer(stream)
            assert (answer.status, answer.header("connection")) == (200, "close")
            assert stream.read() == b""


def test_pipelined_requests_are_answered_in_order(api: Api) -> None:
    """The gateway executes and answers pipelined requests in order."""
    user = api.make(group=0)
    path = f"/api/users/{user['id']}"
    parts, methods = [], []
    for number in range(1, 50):
        parts.append(request("PUT", path, b'{"group":%d}' % number))
        parts.append(request("HEAD", path))
        parts.append(request("GET", path))
        methods += ["PUT", "HEAD", "GET"]
    answers = api.raw(b"".join(parts), methods=methods)
    assert [answer.status for answer in answers] == [200] * len(answers)
    assert [answer.user["group"] for answer in answers[0::3]] == list(range(1, 50))
    assert [answer.user["group"] for answer in answers[2::3]] == list(range(1, 50))


def test_refusals_do_not_disturb_a_pipeline(api: Api) -> None:
    """Refused requests in a pipeline get their answers in order, as the others do."""
    user = api.make()
    path = f"/api/users/{user['id']}"
    good = request("GET", path)
    kinds = [
        (good, 200),
        (request("PUT", path, b"garbage"), 400),
        (request("POST", "/api/users/", b" " * 70_000), 413),
        (request("GET", "/nothing", b"with a body"), 404),
        (request("DELETE", "/api/users/", b"with a body"), 405),
        (request("GET", path, extra="If-None-Match: *\r\n"), 304),
        (request("PUT", path, b"{}", extra='If-Match: "x"\r\n'), 412),
    ]
    rng = random.Random(secrets.randbits(32))
    sent = [kind for kind in kinds * 6 for kind in (kind, kinds[0])]
    rng.shuffle(sent)
    answers = api.raw(b"".join(part for part, _ in sent), methods=["GET"] * len(sent))
    assert [answer.status for answer in answers] == [status for _, status in sent]


def test_request_in_small_pieces(api: Api) -> None:
    """A request that arrives byte by byte is one request."""
    user = api.make()
    path = f"/api/users/{user['id']}"
    with api.socket() as connection:
        stream = connection.makefile("rb")
        for byte in request("PUT", path, b'{"group": 5}'):
            connection.sendall(bytes([byte]))
        assert read_answer(stream).user == user | {"group": 5}


def test_many_requests_on_one_connection(api: Api) -> None:
    """One connection carries 2,000 reads and writes, and each gets its own answer."""
    user = api.make(group=7)
    path = f"/api/users/{user['id']}"
    batch = request("GET", path) * (BATCH - 1) + request("PUT", path, b'{"group":7}')
    window = threading.Semaphore(2)
    expected = api.call("GET", path).body
    undecided = 0
    with api.socket() as connection:

        def send() -> None:
            for _ in range(REQUESTS // BATCH):
                window.acquire()
                connection.sendall(batch)

        sender = threading.Thread(target=send)
        sender.start()
        stream = connection.makefile("rb")
        for number in range(REQUESTS):
            answer = read_answer(stream)
            if answer.status == 503:
                undecided += 1
            else:
                assert (answer.status, answer.body) == (200, expected), number
            if number % BATCH == BATCH - 1:
                window.release()
        sender.join()
        connection.sendall(request("GET", "/healthz"))
        assert read_answer(stream).status == 200
    RETRIES.add(REQUESTS, undecided)
    if undecided > REQUESTS // 100:
        raise Undecided(f"{undecided} of {REQUESTS}")


def test_client_closes_early(api: Api) -> None:
    """A client that closes within a request, or before its answer, does not affect others."""
    user = api.make()
    path = f"/api/users/{user['id']}"
    whole = request("PUT", path, b'{"group": 1}')
    for length in range(1, len(whole) + 1, 3):
        with api.socket() as connection:
            connection.sendall(whole[:length])
    assert api.call("GET", path).user == user


FRAMING = {
    "no host": (b"GET {} HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET {} HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400),
    "two hosts in HTTP/1.0": (b"GET {} HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n", 400),
    "coding": (b"PUT {} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n%b", 501),
    "two codings": (
        (
            b"PUT {} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n%b"
        ),
        501,
    ),
    "chunked twice": (
        b"PUT {} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n%b",
        400,
    ),
    "chunks in HTTP/1.0": (b"PUT {} HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n%b", 400),
    "HTTP/2.0": (b"GET {} HTTP/2.0\r\nHost: x\r\n\r\n", 505),
    "HTTP/0.9": (b"GET {}\r\n\r\n", 505),
}


@pytest.mark.parametrize(("sent", "status"), FRAMING.values(), ids=FRAMING.keys())
def test_refused_framing(api: Api, sent: bytes, status: int) -> None:
    """A request that HTTP forbids gets an error and changes nothing. The connection ends."""
    user = api.make(group=1)
    path = f"/api/users/{user['id']}"
    body = b'b\r\n{"group":2}\r\n0\r\n\r\n'
    with api.socket() as connection:
        stream = connection.makefile("rb")
        connection.sendall(
            request("GET", path) + sent.replace(b"{}", path.encode(), 1).replace(b"%b", body)
        )
        assert read_answer(stream).user == user
        answer = read_answer(stream)
        assert refusal(answer, status, "InvalidRequestError")
        assert answer.header("connection") == "close"
        assert stream.read() == b""
    assert api.call("GET", path).user == user


MALFORMED = {
    "garbage": b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
    "not HTTP": b"hello\r\n\r\n",
    "unknown method": b"FETCH / HTTP/1.1\r\nHost: x\r\n\r\n",
    "lower case": b"get / HTTP/1.1\r\nHost: x\r\n\r\n",
    "raw bytes in the path": b"GET /api/users/\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n",
    "raw bytes in the query": b"GET /api/users/?limit=\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    "NUL in the path": b"GET /api/users/a\0b HTTP/1.1\r\nHost: x\r\n\r\n",
    "no path": b"GET  HTTP/1.1\r\nHost: x\r\n\r\n",
    "two lengths": b"POST /api/users/ HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "length and chunks": (
        b"POST /api/users/ HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
    ),
    "negative length": b"POST /api/users/ HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    "length in letters": b"POST /api/users/ HTTP/1.1\r\nContent-Length: two\r\n\r\n",
    "length beyond 64 bits": (
        b"POST /api/users/ HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n"
    ),
    "bad chunk": b"POST /api/users/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "bad second chunk": (
        b"POST /api/users/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nzz\r\n"
    ),
    "control character in a header": b"GET /healthz HTTP/1.1\r\nX: a\x01b\r\n\r\n",
    "space in a header's name": b"GET /healthz HTTP/1.1\r\nX y: z\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_request(api: Api, sent: bytes) -> None:
    """Input that is not HTTP gets a JSON 400, and ends only its own connection."""
    with api.socket() as connection:
        connection.sendall(sent)
        stream = connection.makefile("rb")
        answer = read_answer(stream)
        refusal(answer, 400, "InvalidRequestError")
        assert answer.header("connection") == "close"
        assert stream.read() == b""
    assert api.call("GET", "/healthz").status == 200


def test_longest_head(api: Api) -> None:
    """A head within 64 KiB and 100 lines succeeds. A longer one gets 431."""
    user = api.make()
    path = f"/api/users/{user['id']}"
    line = f"X-Long: {'x' * 9_990}\r\n"
    assert api.raw(request("GET", path, extra=line * 6))[0].user == user
    assert api.raw(request("GET", path, extra="a:\r\n" * 99))[0].user == user
    for extra, limit in ((line * 7, "65536 bytes"), ("a:\r\n" * 100, "100 lines")):
        (answer,) = api.raw(request("GET", path, extra=extra))
        assert f"at most {limit}" in refusal(answer, 431, "InvalidRequestError")[""]
        assert answer.header("connection") == "close"
    (answer,) = api.raw(request("GET", f"/{'x' * 200_000}"))
    refusal(answer, 431, "InvalidRequestError")


def test_head_without_end(api: Api) -> None:
    """A head that does not end gets 431 before it fills memory."""
    user = api.make()
    path = f"/api/users/{user['id']}"
    line = f"X-Long: {'x' * 10_000}\r\n"
    with api.socket() as connection:
        sent = 0
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: here\r\n".encode())
        with suppress(ConnectionError):
            while sent < 4 * 1024 * 1024:
                connection.sendall(line.encode())
                sent += len(line)
        answer = read_answer(connection.makefile("rb"))
        assert "at most 65536 bytes" in refusal(answer, 431, "InvalidRequestError")[""]
        assert answer.header("connection") == "close"


def test_trailer_without_end(api: Api) -> None:
    """The gateway closes a connection with endless trailers before they fill memory."""
    head = b"POST /api/users/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    line = b"X-Long: " + b"x" * 10_000 + b"\r\n"
    with api.socket() as connection:
        connection.sendall(head + b"2\r\n{}\r\n0\r\n")
        with pytest.raises(ConnectionError):
            flood(connection, line, 40 * 1024 * 1024)


def test_malformed_after_good_requests(api: Api) -> None:
    """Requests before a malformed one on the same connection get their answers first."""
    path = f"/api/users/{api.make(group=0)['id']}"
    good = [request("PUT", path, b'{"group":%d}' % number) for number in range(1, 6)]
    answers = api.raw(b"".join(good) + b"garbage\r\n\r\n", methods=["PUT"] * 6)
    assert [answer.status for answer in answers] == [200] * 5 + [400]
    assert [answer.user["group"] for answer in answers[:5]] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("protocol", ["h2c", "websocket", "h2c, websocket"])
def test_upgrade_is_ignored(api: Api, protocol: str) -> None:
    """The gateway ignores `Upgrade`, which Java and curl send, and answers in HTTP/1.1."""
    user = api.make()
    path = f"/api/users/{user['id']}"
    extra = f"Upgrade: {protocol}\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: A\r\n"
    sent = request("PUT", path, b'{"group":5}', extra) + request("GET", path, extra=extra)
    changed, found = api.raw(sent, methods=["PUT", "GET"])
    assert (changed.status, changed.user) == (200, user | {"group": 5})
    assert found.user == changed.user
