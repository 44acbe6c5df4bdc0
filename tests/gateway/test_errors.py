"""The table of errors, and the responses to failures inside the gateway."""

import asyncio
import json
from typing import Any

import pytest

from ddb.gateway.api.errors import Detail, Error, Refused, invalid
from ddb.gateway.records import Applied, TooManyKeyed, Unavailable
from tests.fakes.records import FakeRecords
from tests.gateway.connected import Lane, listening
from tests.http.raw import request
from tests.loop import until

NAMES = {
    "InvalidRequestError": {400, 405, 413, 431, 501, 505},
    "NotFoundError": {404},
    "ConflictError": {409, 412},
    "TooManyRequestsError": {429},
    "UnavailableError": {503},
    "ApplicationError": {500},
}
INSIDES = "text of the exception"


def ask(
    failure: Exception, method: str, path: str, body: bytes = b"", lane: Lane = Lane.ASGI
) -> tuple[int, dict[str, str], Any]:
    """Send one request to a gateway whose records fail; return status, headers and JSON."""

    async def exchange() -> bytes:
        async with listening(lane, FakeRecords(failure=failure, is_ready=False)) as (
            server,
            address,
        ):
            reader, writer = await asyncio.open_connection(*address)
            writer.write(request(method, path, body))
            writer.write_eof()
            received = await reader.read()
            writer.close()
            await until(lambda: not server.connections)
        return received

    head, _, answer = asyncio.run(exchange()).partition(b"\r\n\r\n")
    line, *fields = head.decode().split("\r\n")
    headers = dict(field.split(": ", 1) for field in fields)
    assert headers["content-type"] == "application/json"
    assert headers["content-length"] == str(len(answer))
    assert headers["cache-control"] == "no-store"
    return int(line.split()[1]), headers, json.loads(answer)


ADA = b'{"id":"ada","name":"Ada","email":"ada@example.com","group":1}'
READS = [("GET", "/api/users/ada")]
LISTS = [("GET", "/api/users/"), ("GET", "/api/users/count")]
CHANGES = [
    ("POST", "/api/users/"),
    ("PUT", "/api/users/"),
    ("PUT", "/api/users/ada"),
    ("PATCH", "/api/users/ada"),
    ("DELETE", "/api/users/ada"),
]


def test_the_table() -> None:
    """Every error has one of the documented names, with a status that belongs to it."""
    assert {error.label for error in Error} == set(NAMES)
    for error in Error:
        assert error.status in NAMES[error.label]
        assert error.may_have_applied == (error.status in (500, 503))


@pytest.mark.parametrize("error", Error)
def test_bodies(error: Error) -> None:
    """An error's body has its name, its message, and what belongs to its kind."""
    applied = Applied.NO if error.may_have_applied else None
    refused = Refused(error, "what happened", details=(Detail("x", "wrong"),), applied=applied)
    body = json.loads(refused.body())
    assert (body.pop("name"), body.pop("message")) == (error.label, "what happened")
    expected: dict[str, object] = {}
    if error.label == "InvalidRequestError":
        expected = {"details": [{"field": "x", "message": "wrong"}]}
    if error.may_have_applied:
        expected = {"applied": "no"}
    assert body == expected


def test_one_wrong_field() -> None:
    """A refusal names the field in its message and in its one detail."""
    body = json.loads(invalid("group", "too large").body())
    assert body["message"] == (
        "group: too large. Nothing was changed; correct the request and send it again"
    )
    assert body["details"] == [{"field": "group", "message": "too large"}]


@pytest.mark.parametrize(("method", "path"), READS + LISTS + CHANGES)
@pytest.mark.parametrize("applied", Applied)
def test_undecided(lane: Lane, method: str, path: str, applied: Applied) -> None:
    """An undecided operation answers 503 with `applied` and a time to try again."""
    status, headers, error = ask(Unavailable(applied, "two are down"), method, path, ADA, lane)
    assert (status, headers["retry-after"]) == (503, "1")
    assert set(error) == {"name", "message", "applied"}
    assert (error["name"], error["applied"]) == ("UnavailableError", applied.value)
    assert "two are down" in error["message"]
    assert ("nothing was changed" in error["message"]) == (applied is Applied.NO)


@pytest.mark.parametrize(("method", "path"), CHANGES)
def test_too_many_keyed(lane: Lane, method: str, path: str) -> None:
    """A record without room for a key answers 429, `applied: no` and a time to try again."""
    status, headers, error = ask(TooManyKeyed(17), method, path, ADA, lane)
    assert (status, headers["retry-after"]) == (429, "17")
    assert set(error) == {"name", "message", "applied"}
    assert (error["name"], error["applied"]) == ("TooManyRequestsError", "no")
    assert "after 17 s" in error["message"]


@pytest.mark.parametrize(("method", "path"), READS + LISTS)
def test_defect_on_a_read(
    lane: Lane, method: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A defect in a read answers 500 without the exception's text, and `applied: no`."""
    status, _, error = ask(ZeroDivisionError(INSIDES), method, path, b"", lane)
    assert (status, error["name"], error["applied"]) == (500, "ApplicationError", "no")
    assert INSIDES not in json.dumps(error)
    assert set(error) == {"name", "message", "applied"}
    assert any(record.exc_info for record in caplog.records)


@pytest.mark.parametrize(("method", "path"), CHANGES)
def test_defect_on_a_change(lane: Lane, method: str, path: str) -> None:
    """A defect in a change answers 500 with `applied: unknown`."""
    status, headers, error = ask(ZeroDivisionError(INSIDES), method, path, ADA, lane)
    assert (status, error["name"], error["applied"]) == (500, "ApplicationError", "unknown")
    assert headers["connection"] == "close"
    assert INSIDES not in json.dumps(error)


def test_not_ready() -> None:
    """A gateway without a quorum answers 503 on /readyz and 200 on /healthz."""
    failure = ZeroDivisionError(INSIDES)
    status, _, body = ask(failure, "GET", "/readyz")
    assert (status, body["ready"]) == (503, False)
    assert next(iter(body)) == "verdict"
    assert body["verdict"].startswith("NOT READY: 1 of 3 nodes decides")
    assert ask(failure, "GET", "/healthz")[::2] == (200, {"healthy": True})
