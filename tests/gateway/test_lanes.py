"""The two lanes: equal bytes from both, and ordinary requests on the fast one."""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddb.gateway.records import Answer, Applied, Cursor, Page, Records, Unavailable
from ddb.record.change import Change, Kind, Outcome
from tests.fakes.records import ADA, FakeRecords
from tests.gateway.connected import LANES, Lane, connected, listening
from tests.http.raw import request
from tests.loop import run, until

GET = request("GET", "/api/users/ada")
PUT = request("PUT", "/api/users/ada", b'{"group":5}')
PUT_IN_BODY = request("PUT", "/api/users/", b'{"id":"ada","group":5}')
POST = request("POST", "/api/users/", ADA)
DELETE = request("DELETE", "/api/users/ada")
FAST = [GET, PUT, PUT_IN_BODY, POST, DELETE, request("PATCH", "/api/users/%61da", b'{"group":5}')]
Sent = tuple[str, str, str, list[str]]


class Scripted(FakeRecords):
    """`Records` with one result for all reads, and one for all changes."""

    def __init__(self, stored: bytes | Exception | None, outcome: Outcome | Exception) -> None:
        super().__init__(is_ready=False)
        self._stored = stored
        self._outcome = outcome
        self.calls: list[object] = []

    async def read(self, id: str) -> bytes | None:
        """Implement `Records.read`."""
        self.calls.append(id)
        if isinstance(self._stored, Exception):
            raise self._stored
        return self._stored

    async def change(self, id: str, change: Change, *, key: str | None = None) -> Answer:
        """Implement `Records.change`."""
        self.calls.append((id, change, key))
        if isinstance(self._outcome, Exception):
            raise self._outcome
        gone = change.kind is Kind.DELETE or self._outcome is not Outcome.DONE
        return Answer(self._outcome, None if gone else ADA)

    async def page(self, *, after: Cursor | None, offset: int, limit: int) -> Page:
        """Implement `Records.page`."""
        return Page([ADA], Cursor(1, "ada") if limit == 1 else None)


async def exchange(lane: Lane, records: Records, sent: bytes) -> bytes:
    """Read all bytes of a connection until it ends."""
    async with listening(lane, records) as (server, address):
        server.default_headers = [(b"date", b"today")]
        reader, writer = await asyncio.open_connection(*address)
        writer.write(sent)
        writer.write_eof()
        received = await reader.read()
        writer.close()
        await until(lambda: not server.connections)
    return received


tags = st.sampled_from(["*", '"0123456789abcdef"', '"x", W/"y"', "garbage", "", ","])
targets = st.sampled_from(
    ["ada", "ada/", "a%64a", "no%2Fone", "%00", "x" * 129, "count", "", "a/b", "ada?x=1", "ada%0A"]
).map(lambda path: f"/api/users/{path}") | st.sampled_from(
    ["/api/users", "/api/users?limit=1", "/api/users/?after=AABh", "/healthz", "/readyz", "/x", "/"]
)
BODIES = {
    "none": b"",
    "empty": b"{}",
    "Ada": ADA,
    "group": b'{"group":5}',
    "no group": b'{"id":"ada","group":true}',
    "no JSON": b"[",
    "unknown field": b'{"x":1}',
    "too large": b" " * 70_000,
}
bodies = st.sampled_from(list(BODIES))
headers = st.fixed_dictionaries(
    {},
    optional={
        "If-Match": tags,
        "If-None-Match": tags,
        "Idempotency-Key": st.sampled_from(["k", "", "\t", "x" * 300]),
        "Connection": st.sampled_from(["close", "keep-alive", "upgrade"]),
        "Accept": st.just("*/*"),
    },
).map(lambda fields: [f"{name}: {value}\r\n" for name, value in fields.items()])
methods = st.sampled_from(["GET", "GET", "HEAD", "PUT", "PATCH", "DELETE", "POST", "OPTIONS"])
failures = st.sampled_from([Unavailable(applied, "no two answered") for applied in Applied])


def _until_close(sent: list[Sent]) -> Iterator[Sent]:
    """Cut the requests after the one that ends the connection."""
    for each in sent:
        yield each
        if "Connection: close\r\n" in each[3]:
            return


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(methods, targets, bodies, headers), min_size=1, max_size=3),
    st.sampled_from([ADA, None]) | failures,
    st.sampled_from(list(Outcome)) | failures,
)
def test_same_bytes(
    sent: list[Sent],
    stored: bytes | Exception | None,
    outcome: Outcome | Exception,
) -> None:
    """Both lanes send the same bytes, and make the same calls to the records."""

    async def test() -> None:
        whole = b"".join(
            request(method, target, BODIES[body], "".join(lines))
            for method, target, body, lines in _until_close(sent)
        )
        seen = []
        for lane in LANES:
            records = Scripted(stored, outcome)
            seen.append((await exchange(lane, records, whole), records.calls))
        assert seen[0] == seen[1]
        assert seen[0][0].startswith(b"HTTP/1.1 ")

    run(test())


@pytest.mark.parametrize("sent", FAST, ids=lambda sent: sent.split(b" ")[0].decode())
def test_fast_lane_keeps_ordinary_requests(sent: bytes) -> None:
    """Plain requests on single users stay on the fast lane, split at any byte."""

    async def test() -> None:
        async with connected(Lane.FAST) as client:
            for at in range(len(sent)):
                client.send(*filter(None, (sent[:at], sent[at:])))
                assert (await client.answer())[0] in (200, 204, 201)
            assert client.is_fast()

    run(test())


@pytest.mark.parametrize("lane", LANES)
def test_twenty_thousand_requests_on_one_connection(lane: Lane) -> None:
    """One connection serves 20,000 requests correctly, all on its first lane."""

    async def test() -> None:
        async with connected(lane) as client:
            for number in range(20_000):
                sent, found = (PUT, b'"group": 5') if number % 100 == 0 else (GET, ADA)
                client.send(sent)
                assert found in (await client.answer())[2]
            assert client.is_fast() is (lane is Lane.FAST)
            assert client.server.total_requests == 20_000

    run(test(), timeout_s=60.0)
