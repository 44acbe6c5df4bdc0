"""The cost of a page, and its completeness for any distribution of records."""

import asyncio
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import islice
from statistics import mean

import pytest

from ddb.gateway.listing.range_read import RangeRead, start_of
from ddb.gateway.listing.scatter_gather import ScatterGather
from ddb.record.codec import HEAD, encode
from ddb.record.state import State
from ddb.record.version import Dot
from ddb.ring.ring import PARTITIONS, Ring
from ddb.runtime.system_clock import SystemClock
from ddb.wire.messages import Scan, ScanPage
from tests.fakes.transport import Asked, FakeTransport

CLOCK = SystemClock()
RING = Ring(("db-0", "db-1", "db-2", "db-3", "db-4"))
LIVE, DEAD = (encode(State((Dot(1, 1),), live))[HEAD] for live in (True, False))
STALE = encode(State((Dot(0, 1),), True))[HEAD]
"""An older state than `LIVE`."""


Part = tuple[Iterable[int], int, bool]
"""Partitions, records in each, and whether they are live."""


class Nodes:
    """Nodes whose homes store some rows, all decided."""

    def __init__(self, *parts: Part, most: int | None = None) -> None:
        """Store the records of all parts; `most`: only so many of them."""
        rows = {
            start_of(number) + b"%04d" % each: live
            for numbers, count, live in parts
            for number in numbers
            for each in range(count)
        }
        self.keys = sorted(rows)[:most]
        self.live = {key for key in self.keys if rows[key]}
        self.asked = self.sent = 0

    def reply(self, asked: Asked) -> ScanPage:
        """Return one page of the node's rows."""
        request = asked.request
        assert isinstance(request, Scan)
        found: list[bytes] = []
        for key in islice(self.keys, bisect_right(self.keys, request.after), None):
            if key >= request.until or len(found) == request.limit:
                break
            if asked.to in RING.cell(key).homes:
                found.append(key)
        self.asked += 1
        self.sent += len(found)
        return ScanPage(
            found,
            [LIVE if key in self.live else DEAD for key in found],
            [self._body(asked.to, key) for key in found],
            bytes(len(found)),
            len(found) == request.limit,
            0,
        )

    def _body(self, name: str, key: bytes) -> bytes:
        return b"1" if key in self.live and name == RING.cell(key).home else b""


async def _unneeded(id: str, _deadline: float) -> bytes | None:
    """Fail: no record of these tests needs a read of its own."""
    raise AssertionError(id)


async def paged(nodes: Nodes, limit: int) -> list[tuple[list[bytes], int, int]]:
    """Read all pages; of each: the keys, the requests to nodes, the rows sent."""
    range_read = RangeRead(RING, _unneeded)
    transport = FakeTransport(nodes.reply)
    pages, after = [], b""
    while True:
        before = nodes.asked, nodes.sent
        scatter = ScatterGather(transport, CLOCK, CLOCK.now() + 5)
        page = [row.key for row in await range_read.live_records(after, limit, scatter)]
        pages.append((page, nodes.asked - before[0], nodes.sent - before[1]))
        if len(page) < limit:
            return pages
        # Rows beyond `limit` belong to the next page.
        del page[limit:]
        after = page[-1]


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param((), id="nothing"),
        pytest.param([(range(PARTITIONS), 1, True)], id="few"),
        pytest.param([(range(PARTITIONS), 20, True)], id="many"),
        pytest.param([(range(3), 700, True)], id="all at the beginning"),
        pytest.param([(range(1000, 1024), 30, True)], id="all at the end"),
        pytest.param(
            [(range(0, 1024, 2), 9, False), (range(1, 1024, 2), 3, True)], id="most are deleted"
        ),
        pytest.param(
            [(range(200), 9, True), (range(200, 900), 9, False), (range(900, 950), 9, True)],
            id="a long range is deleted",
        ),
    ],
)
@pytest.mark.parametrize(("limit", "most"), [(1, 300), (11, 3000), (101, None)])
def test_pages_have_each_live_record_once_and_in_order(
    parts: Sequence[Part], limit: int, most: int | None
) -> None:
    """The pages have each live record once and in order, for any distribution."""
    nodes = Nodes(*parts, most=most)
    pages = asyncio.run(paged(nodes, limit))
    assert [key for page, _, _ in pages for key in page] == sorted(nodes.live)


def test_page_of_a_full_store_asks_each_of_few_nodes_once() -> None:
    """A page asks each node at most once, for twice its rows and a margin."""
    pages = asyncio.run(paged(Nodes((range(PARTITIONS), 60, True)), 101))[5:-5]
    assert max(asked for _, asked, _ in pages) <= len(RING.names)
    assert mean(sent for _, _, sent in pages) <= 2 * 101 * 1.8


def test_deleted_range_takes_few_requests() -> None:
    """Empty partitions after full ones take few requests."""
    nodes = Nodes((range(300), 60, True), (range(1000, 1010), 60, True))
    pages = asyncio.run(paged(nodes, 101))
    assert max(asked for _, asked, _ in pages) <= 12 * len(RING.names)


def _reply_with_a_stale_home(rows: int, asked: Asked) -> ScanPage:
    """Reply for a cell whose home has old states of `rows` records, or lacks every other one."""
    request = asked.request
    assert isinstance(request, Scan)
    cell = RING.cells[0]
    keys = [start_of(0) + b"%04d" % each for each in range(rows)]
    stale = asked.to == cell.home
    found = [key for key in keys[:: 2 if stale else 1] if request.after < key < request.until]
    sends = asked.to == next(node for node in cell.nodes if node not in request.without)
    body = (b"old" if stale else b"new") if sends else b""
    head = STALE if stale else LIVE
    if asked.to not in cell.nodes:
        found = []
    return ScanPage(
        found, [head] * len(found), [body] * len(found), bytes(len(found)), more=False, hint_stamp=0
    )


def test_one_more_scan_brings_the_states_that_a_stale_home_lacks() -> None:
    """LIST reads no record singly where two nodes have the state that a stale home lacks."""

    async def read() -> tuple[list[bytes | None], int]:
        transport = FakeTransport(partial(_reply_with_a_stale_home, 9))
        scatter = ScatterGather(transport, CLOCK, CLOCK.now() + 5)
        rows = await RangeRead(RING, _unneeded).live_records(b"", 9, scatter)
        return [row.body for row in rows], len(transport.asked)

    bodies, requests = asyncio.run(read())
    assert bodies == [b"new"] * 9
    assert requests <= 2 * len(RING.names)
