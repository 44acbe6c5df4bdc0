"""A node's page of rows for LIST: one range of keys, durable rows only."""

import heapq
from collections.abc import Collection

from ddb.node.consensus.commit_index import CommitIndex
from ddb.node.replica.acceptor import Acceptor
from ddb.node.storage.store import Family
from ddb.record.codec import HEAD, body_of, is_live, peek
from ddb.record.state import DamagedState
from ddb.ring.ring import PARTITION_BYTES, Cell, Ring, partition_in
from ddb.wire.messages import Reply, Scan, ScanPage

MAX_PAGE_BODY_BYTES = 2 * 1024 * 1024
"""Body bytes after which a page is full; each page has at least one row.

Too low: LIST needs more pages. Too high: one page delays other replies on the same link.
"""


async def scan(
    request: Scan,
    name: str,
    ring: Ring,
    replica: Acceptor,
    decided: CommitIndex,
    incarnation: int,
) -> Reply:
    """Answer Scan from home copies and hints, in key order.

    Args:
        name: this node.
        incarnation: a random number of this process. A restart changes it, so that a caller
            does not compare drop counts of two processes.
    """
    damage = replica.copies.damage
    start = request.after + b"\x00" if request.after else b""
    stored = heapq.merge(
        *(
            damage.readable(family, start, request.until, request.limit)[0]
            for family in (Family.RECORDS, Family.HINTS)
        )
    )
    # A hint that damage took counts as dropped.
    drops = incarnation + replica.hints.drops + damage.found_ranges
    keys: list[bytes] = []
    heads: list[bytes] = []
    bodies: list[bytes] = []
    is_decided = bytearray()
    partition, sends_bodies = -1, False
    size, more = 0, False
    for key, raw in stored:
        if len(keys) >= request.limit or size >= MAX_PAGE_BODY_BYTES:
            more = True
            break
        if partition_in(key) != partition:
            partition = partition_in(key)
            sends_bodies = name == _body_source(ring.cells[partition], request.without)
        try:
            newest = peek(raw)
        except DamagedState:
            damage.note_undecodable(replica.copies.family(key), key)
            continue
        body = body_of(raw) if sends_bodies and is_live(raw) else b""
        size += len(body) + len(key)
        keys.append(key)
        heads.append(raw[HEAD])
        bodies.append(body)
        is_decided.append(decided.covers(newest))
    # Before the await: a rebuild may end during it, and this page lacks the rebuilt rows.
    damaged = _between(damage.partitions, start, request.until) if damage.partitions else ()
    await replica.writes.wait_keys(keys)
    return ScanPage(
        keys, heads, bodies, bytes(is_decided), more or len(keys) >= request.limit, drops, damaged
    )


def _between(partitions: Collection[int], start: bytes, until: bytes) -> tuple[int, ...]:
    """Return the `partitions` that overlap the keys from `start` to before `until`."""
    first = partition_in(start) if start else 0
    end = partition_in(until) + (len(until) > PARTITION_BYTES)
    return tuple(number for number in partitions if first <= number < end)


def _body_source(cell: Cell, without: Collection[str]) -> str | None:
    """Return the node that sends bodies for a cell: its first one not in `without`."""
    return next((node for node in cell.nodes if node not in without), None)
