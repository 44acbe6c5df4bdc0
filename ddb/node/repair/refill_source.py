"""The source side of refill and rebuild: a peer reads a node's share page by page."""

from ddb.node.replica.acceptor import Acceptor
from ddb.node.replica.damage import Range
from ddb.node.storage.store import Family
from ddb.record.codec import peek
from ddb.record.state import DamagedState
from ddb.record.version import Dot
from ddb.ring.ring import Ring
from ddb.wire.messages import PullShare, Reply, Share, SharePage

PAGE_ROWS = 500
"""Rows read per page. Too low: a refill takes more requests. Too high: one page blocks the source's
event loop for longer."""
PAGE_BYTES = 1024 * 1024
"""State bytes after which a page is full. Too low: large records travel one by one. Too high: the
page delays other replies on the same link."""


async def read_share(request: PullShare, ring: Ring, replica: Acceptor) -> Reply:
    """Answer PullShare with one page of durable states.

    The page lists as gaps the ranges that this node cannot read itself.
    """
    # Durable first: after a restart of this node, a late message must still meet the fence.
    await replica.raise_floor(request.floor)
    family = Family.HINTS if request.share is Share.HINTS else Family.RECORDS
    start = request.after + b"\x00" if request.after else b""
    stored, gaps = replica.copies.damage.readable(family, start, request.until, PAGE_ROWS)
    rows: list[tuple[bytes, Dot, bytes]] = []
    size, after = 0, None
    for key, raw in stored:
        try:
            newest = peek(raw)
        except DamagedState:
            replica.copies.damage.note_undecodable(family, key)
            gaps.append(Range(key, key + b"\x00"))
            continue
        cell = ring.cell(key)
        if request.share is Share.STANDBY:
            if request.name == cell.standby:
                rows.append((key, newest, b""))
        elif request.name in cell.homes:
            rows.append((key, newest, raw))
            size += len(raw)
        if size >= PAGE_BYTES:
            after = key
            break
    else:
        if len(stored) == PAGE_ROWS:
            # Also where the last row is malformed: the share goes on after it.
            after = stored[-1][0]
    for key, _, _ in rows:
        await replica.writes.wait_key(key)
    return SharePage(rows, after, [(gap.start, gap.stop) for gap in gaps])
