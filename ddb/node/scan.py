"""What a node contributes to LIST: its rows of a stretch of the key space, durable ones only."""

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
"""Bodies per answer; a row is always answered, however large."""


async def scan(
    request: Scan,
    name: str,
    ring: Ring,
    replica: Acceptor,
    decided: CommitIndex,
    life: int,
) -> Reply:
    """Answer Scan from home copies and hints alike, in key order.

    `life`: a number that no earlier process of this node is likely to have had.
    """
    damage = replica.damage
    start = request.after + b"\x00" if request.after else b""
    held = heapq.merge(
        *(
            damage.readable(family, start, request.until, request.limit)[0]
            for family in (Family.RECORDS, Family.HINTS)
        )
    )
    # What damage took from this node's hints, it has let go of.
    hint_stamp = life + replica.hints.let_go + damage.found_ranges
    keys: list[bytes] = []
    heads: list[bytes] = []
    bodies: list[bytes] = []
    known = bytearray()
    partition, speaks = -1, False
    size, more = 0, False
    for key, raw in held:
        if len(keys) >= request.limit or size >= MAX_PAGE_BODY_BYTES:
            more = True
            break
        if partition_in(key) != partition:
            partition = partition_in(key)
            speaks = name == _speaker(ring.cells[partition], request.without)
        try:
            newest = peek(raw)
        except DamagedState:
            damage.found_undecodable(replica.family(key), key)
            continue
        body = body_of(raw) if speaks and is_live(raw) else b""
        size += len(body) + len(key)
        keys.append(key)
        heads.append(raw[HEAD])
        bodies.append(body)
        known.append(decided.covers(newest))
    # Before anything is waited for: a range may be rebuilt meanwhile, and its rows are not here.
    damaged = _between(damage.partitions, start, request.until) if damage.partitions else ()
    await replica.writes.keys_durable(keys)
    return ScanPage(
        keys, heads, bodies, bytes(known), more or len(keys) >= request.limit, hint_stamp, damaged
    )


def _between(partitions: Collection[int], start: bytes, until: bytes) -> tuple[int, ...]:
    first = partition_in(start) if start else 0
    end = partition_in(until) + (len(until) > PARTITION_BYTES)
    return tuple(number for number in partitions if first <= number < end)


def _speaker(cell: Cell, without: Collection[str]) -> str | None:
    """Who tells the bodies of a cell's records: its first node that is not out."""
    return next((node for node in cell.nodes if node not in without), None)
