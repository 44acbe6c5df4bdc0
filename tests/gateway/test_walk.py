"""How far a page's walk looks, and that it finds everything wherever records lie."""

import asyncio
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import mean

import pytest

from ddb.gateway.listing.range_read import Walk, start_of
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
    """A transport to nodes of which the homes hold some rows, all of them decided."""

    rows: dict[bytes, bool]
    """By key whether the record lives."""
    keys: list[bytes]
    asked: int = 0
    told: int = 0

    def ask(
        self, to: str, request: Request, *, deadline: float, timeout_s: float
    ) -> asyncio.Future[Reply]:
        """As `Transport.ask`."""
        assert isinstance(request, Scan)
        found: list[bytes] = []
        for key in self.keys[bisect_right(self.keys, request.after) :]:
            if key >= request.until or len(found) == request.limit:
                break
            if to in RING.cell(key).homes:
                found.append(key)
        self.asked += 1
        self.told += len(found)
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
        """As `Transport.condition`."""
        return Condition.UP


def nodes_with(*parts: tuple[Iterable[int], int, bool]) -> Nodes:
    """Partitions, how many records there are in each, and whether they live."""
    rows = {
        start_of(number) + b"%04d" % each: live
        for numbers, count, live in parts
        for number in numbers
        for each in range(count)
    }
    return Nodes(rows, sorted(rows))


async def paged(nodes: Nodes, limit: int) -> list[tuple[list[bytes], int, int]]:
    """All pages: the keys of each, the questions to nodes and the rows told for it."""

    async def unneeded(id: str, _deadline: float) -> bytes | None:
        raise AssertionError(id)

    walk = Walk(RING, ScatterGather(nodes, CLOCK), unneeded)
    pages, after = [], b""
    while True:
        before = nodes.asked, nodes.told
        page = [row.key for row in await walk.living(after, limit, CLOCK.now() + 5)]
        pages.append((page, nodes.asked - before[0], nodes.told - before[1]))
        if len(page) < limit:
            return pages
        # As many as were asked for: what a page has beyond them is found again.
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
            id="a long stretch is deleted",
        ),
    ],
)
@pytest.mark.parametrize("limit", [1, 11, 101])
def test_pages_have_every_living_record_once_and_in_order(nodes: Nodes, limit: int) -> None:
    """However unevenly they lie, and whatever was guessed of it from the pages before."""
    if limit == 1:
        # One by one: the beginning is enough.
        nodes.keys = nodes.keys[:300]
    pages = asyncio.run(paged(nodes, limit))
    assert [key for page, _, _ in pages for key in page] == [k for k in nodes.keys if nodes.rows[k]]


def test_page_of_a_full_store_asks_each_of_few_nodes_once() -> None:
    """Two homes' rows and a margin, of the nodes of two or three partitions."""
    pages = asyncio.run(paged(nodes_with((range(PARTITIONS), 60, True)), 101))[5:-5]
    assert max(asked for _, asked, _ in pages) <= len(RING.names)
    assert mean(told for _, _, told in pages) <= 2 * 101 * 1.8


def test_way_across_a_deleted_stretch_is_short() -> None:
    """What is guessed from full partitions does not make hundreds of questions of empty ones."""
    nodes = nodes_with((range(300), 60, True), (range(1000, 1010), 60, True))
    pages = asyncio.run(paged(nodes, 101))
    assert max(asked for _, asked, _ in pages) <= 12 * len(RING.names)
