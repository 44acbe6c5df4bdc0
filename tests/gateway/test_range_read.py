"""The cost of a page, and its completeness for any distribution of records."""

import asyncio
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import mean

import pytest

from ddb.gateway.listing.range_read import RangeRead, start_of
from ddb.gateway.listing.scatter_gather import ScatterGather
from ddb.record.codec import HEAD, encode
from ddb.record.state import State
from ddb.record.version import Dot
from ddb.ring.ring import PARTITIONS, Ring
from ddb.runtime.system_clock import SystemClock
from ddb.wire.messages import Reply, Request, Scan, ScanPage
from ddb.wire.ports import Condition

CLOCK = SystemClock()
RING = Ring(("db-0", "db-1", "db-2", "db-3", "db-4"))
LIVE, DEAD = (encode(State((Dot(1, 1),), live))[HEAD] for live in (True, False))


@dataclass(slots=True)
class Nodes:
    """A transport to nodes whose homes store some rows, all decided."""

    rows: dict[bytes, bool]
    """By key, whether the record is live."""
    keys: list[bytes]
    asked: int = 0
    sent: int = 0

    def ask(
        self, to: str, request: Request, *, deadline: float, timeout_s: float
    ) -> asyncio.Future[Reply]:
        """Implement `Transport.ask`."""
        assert isinstance(request, Scan)
        found: list[bytes] = []
        for key in self.keys[bisect_right(self.keys, request.after) :]:
            if key >= request.until or len(found) == request.limit:
                break
            if to in RING.cell(key).homes:
                found.append(key)
        self.asked += 1
        self.sent += len(found)
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        answer.set_result(
            ScanPage(
                found,
                [LIVE if self.rows[key] else DEAD for key in found],
                [b"1" if self.rows[key] and to == RING.cell(key).home else b"" for key in found],
                bytes(len(found)),
                len(found) == request.limit,
                0,
            )
        )
        return answer

    def condition(self, _to: str) -> Condition:
        """Implement `Transport.condition`."""
        return Condition.UP


def nodes_with(*parts: tuple[Iterable[int], int, bool]) -> Nodes:
    """Make nodes with records. Each part: partitions, records in each, whether they are live."""
    rows = {
        start_of(number) + b"%04d" % each: live
        for numbers, count, live in parts
        for number in numbers
        for each in range(count)
    }
    return Nodes(rows, sorted(rows))


async def paged(nodes: Nodes, limit: int) -> list[tuple[list[bytes], int, int]]:
    """Read all pages; of each: the keys, the requests to nodes, the rows sent."""

    async def unneeded(id: str, _deadline: float) -> bytes | None:
        raise AssertionError(id)

    range_read = RangeRead(RING, unneeded)
    pages, after = [], b""
    while True:
        before = nodes.asked, nodes.sent
        scatter = ScatterGather(nodes, CLOCK, CLOCK.now() + 5)
        page = [row.key for row in await range_read.live_records(after, limit, scatter)]
        pages.append((page, nodes.asked - before[0], nodes.sent - before[1]))
        if len(page) < limit:
            return pages
        # Rows beyond `limit` belong to the next page.
        del page[limit:]
        after = page[-1]


@pytest.mark.parametrize(
    "nodes",
    [
        pytest.param(nodes_with(), id="nothing"),
        pytest.param(nodes_with((range(PARTITIONS), 1, True)), id="few"),
        pytest.param(nodes_with((range(PARTITIONS), 20, True)), id="many"),
        pytest.param(nodes_with((range(3), 700, True)), id="all at the beginning"),
        pytest.param(nodes_with((range(1000, 1024), 30, True)), id="all at the end"),
        pytest.param(
            nodes_with((range(0, 1024, 2), 9, False), (range(1, 1024, 2), 3, True)),
            id="most are deleted",
        ),
        pytest.param(
            nodes_with(
                (range(200), 9, True), (range(200, 900), 9, False), (range(900, 950), 9, True)
            ),
            id="a long range is deleted",
        ),
    ],
)
@pytest.mark.parametrize("limit", [1, 11, 101])
def test_pages_have_each_live_record_once_and_in_order(nodes: Nodes, limit: int) -> None:
    """The pages have each live record once and in order, for any distribution."""
    if limit == 1:
        # Pages of one record: a part of the keys is enough.
        nodes.keys = nodes.keys[:300]
    pages = asyncio.run(paged(nodes, limit))
    assert [key for page, _, _ in pages for key in page] == [k for k in nodes.keys if nodes.rows[k]]


def test_page_of_a_full_store_asks_each_of_few_nodes_once() -> None:
    """A page asks each node at most once, for twice its rows and a margin."""
    pages = asyncio.run(paged(nodes_with((range(PARTITIONS), 60, True)), 101))[5:-5]
    assert max(asked for _, asked, _ in pages) <= len(RING.names)
    assert mean(sent for _, _, sent in pages) <= 2 * 101 * 1.8


def test_deleted_range_takes_few_requests() -> None:
    """Empty partitions after full ones take few requests."""
    nodes = nodes_with((range(300), 60, True), (range(1000, 1010), 60, True))
    pages = asyncio.run(paged(nodes, 101))
    assert max(asked for _, asked, _ in pages) <= 12 * len(RING.names)
