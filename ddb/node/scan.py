"""A node's page of rows for LIST: one range of keys, durable rows only."""

from collections.abc import Collection, Sequence
from functools import lru_cache

from ddb.node.consensus.commit_index import CommitIndex
from ddb.node.replica.acceptor import Acceptor
from ddb.node.replica.copies import Copies
from ddb.node.storage.store import Family
from ddb.record.codec import HEAD, LIVE, body_of, is_live, peek, peek_each
from ddb.record.state import DamagedState
from ddb.ring.ring import PARTITION_BYTES, Ring, partition_in
from ddb.wire.messages import Reply, Scan, ScanPage

MAX_PAGE_BODY_BYTES = 2 * 1024 * 1024
"""Body bytes after which a page is full; each page has at least one row.

Too low: LIST needs more pages. Too high: one page delays other replies on the same link.
"""
MAX_CACHED_SENDERS = 16
"""Results of `_sends_body` in memory. They differ by the nodes that gateways ask for no bodies.

Too low: a scan computes the result for 1,024 partitions, in 0.4 ms. Too high: each takes 8 KiB.
"""

StoredRow = tuple[bytes, bytes]
"""A key and its encoded state."""


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
    rows = damage.readable(Family.RECORDS, start, request.until, request.limit)[0]
    hints = damage.readable(Family.HINTS, start, request.until, request.limit)[0]
    if hints:
        rows = sorted(rows + hints)
    # A hint that damage took counts as dropped.
    drops = incarnation + replica.hints.drops + damage.found_ranges
    sends_body = _sends_body(name, ring, request.without)
    more = False
    if not fits(rows, request.limit):
        rows, more = first_rows(rows, request.limit, sends_body, replica.copies)
    keys = [key for key, _ in rows]
    heads = [raw[HEAD] for _, raw in rows]
    bodies = [
        body_of(raw) if sends_body[key[0] << 8 | key[1]] and raw and raw[0] & LIVE else b""
        for key, raw in rows
    ]
    is_decided = decided.covers_each(peek_each(heads))
    # Before the await: a rebuild may end during it, and this page lacks the rebuilt rows.
    damaged = _between(damage.partitions, start, request.until) if damage.partitions else ()
    await replica.writes.wait_keys(keys)
    return ScanPage(
        keys, heads, bodies, is_decided, more or len(keys) >= request.limit, drops, damaged
    )


def fits(rows: Sequence[StoredRow], limit: int) -> bool:
    """Return whether `first_rows` would surely return all rows. This takes a tenth of its time."""
    sizes = [len(raw) for _, raw in rows]
    return (
        len(rows) <= limit
        # Shorter states may be malformed.
        and min(sizes, default=HEAD.stop) >= HEAD.stop
        and sum(sizes) + sum([len(key) for key, _ in rows]) < MAX_PAGE_BODY_BYTES
    )


def first_rows(
    rows: Sequence[StoredRow], limit: int, sends_body: Sequence[bool], copies: Copies
) -> tuple[list[StoredRow], bool]:
    """Return the rows of one page, and whether some are left; note malformed rows as damage.

    Args:
        rows: the stored rows, in key order.
        limit: the most rows of a page.
        sends_body: whether this node sends bodies, by partition.
        copies: the copies that the rows are from.
    """
    taken: list[StoredRow] = []
    size = 0
    for key, raw in rows:
        if len(taken) >= limit or size >= MAX_PAGE_BODY_BYTES:
            return taken, True
        try:
            peek(raw)
        except DamagedState:
            copies.damage.note_undecodable(copies.family(key), key)
            continue
        taken.append((key, raw))
        has_body = sends_body[partition_in(key)] and is_live(raw)
        size += len(key) + (len(body_of(raw)) if has_body else 0)
    return taken, False


def _between(partitions: Collection[int], start: bytes, until: bytes) -> tuple[int, ...]:
    """Return the `partitions` that overlap the keys from `start` to before `until`."""
    first = partition_in(start) if start else 0
    end = partition_in(until) + (len(until) > PARTITION_BYTES)
    return tuple(number for number in partitions if first <= number < end)


@lru_cache(maxsize=MAX_CACHED_SENDERS)
def _sends_body(name: str, ring: Ring, without: tuple[str, ...]) -> tuple[bool, ...]:
    """Return by partition whether `name` is the first node of the cell that is not in `without`."""
    return tuple(
        name == next((node for node in cell.nodes if node not in without), None)
        for cell in ring.cells
    )
