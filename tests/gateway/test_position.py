"""The place of a record by its offset, where the homes of a partition differ."""

from ddb.gateway.listing.count import RecordCount
from ddb.gateway.listing.range_read import RangeRead, start_of
from ddb.gateway.listing.scatter_gather import ScatterGather
from ddb.node.replica.partition_digests import ROW
from ddb.record.codec import HEAD, encode
from ddb.record.state import State
from ddb.record.version import Dot
from ddb.ring.ring import PARTITIONS, Ring
from ddb.runtime.system_clock import SystemClock
from ddb.wire.messages import Digests, GetDigests, Reply, Scan, ScanPage
from tests.fakes.transport import Asked, FakeTransport
from tests.loop import SOON, run

CLOCK = SystemClock()
RING = Ring(("db-0", "db-1", "db-2"))
DISPUTED = 0
LATER = 1
IN_LATER = 5
"""Records of the partition behind the disputed one, on which both homes agree."""
STATE = encode(State((Dot(1, 1),), True, b"{}"))
KEYS = [start_of(DISPUTED) + each for each in (b"a", b"b", b"c")]


def rows(name: str) -> list[bytes]:
    """Return the disputed partition's rows on a node: each record is on two of the three."""
    home, partner, standby = RING.cells[DISPUTED].nodes
    first, second, third = KEYS
    return {home: [first, second], partner: [first, third], standby: [second, third]}[name]


def reply(asked: Asked) -> Reply:
    """Answer as a node whose standby names no keeper of its hints."""
    if isinstance(asked.request, GetDigests):
        table = {DISPUTED: (2, int(asked.to[-1]) + 1), LATER: (IN_LATER, 7)}
        packed = [ROW.pack(*table.get(number, (0, 0))) for number in range(PARTITIONS)]
        is_standby = asked.to == RING.cells[DISPUTED].standby
        return Digests(b"".join(packed), {DISPUTED: ()} if is_standby else {})
    assert isinstance(asked.request, Scan)
    found = [key for key in rows(asked.to) if asked.request.after < key < asked.request.until]
    heads, bodies = [STATE[HEAD]] * len(found), [b"{}"] * len(found)
    return ScanPage(found, heads, bodies, bytes(len(found)), False, 0)


def test_a_place_behind_a_disputed_partition_is_exact() -> None:
    """An offset counts the records of a disputed partition, not either home's number of them."""

    async def scenario() -> None:
        async def read(id: str, _deadline: float) -> bytes | None:
            raise AssertionError(f"{id} is on two nodes, so no single read is needed")

        transport = FakeTransport(reply)
        count = RecordCount(RING, RangeRead(RING, read))

        async def position(offset: int) -> tuple[int, int]:
            scatter = ScatterGather(transport, CLOCK, CLOCK.now() + SOON)
            return await count.position(offset, scatter)

        assert [await position(offset) for offset in range(2)] == [(DISPUTED, 0), (DISPUTED, 1)]
        assert await position(len(KEYS)) == (LATER, 0)
        assert await position(len(KEYS) + IN_LATER - 1) == (LATER, IN_LATER - 1)
        assert await position(len(KEYS) + IN_LATER) == (PARTITIONS, 0)

    run(scenario())
