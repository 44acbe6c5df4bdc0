"""What a node contributes to LIST: its rows of a stretch of the key space, durable ones only."""

import heapq

from ddb.node.decided import Decided
from ddb.node.replica import Replica
from ddb.node.store import Family, Store
from ddb.record.state import body_of, is_live, peek
from ddb.record.version import Dot
from ddb.ring.ring import Ring
from ddb.wire.messages import Reply, Rows, Scan

MOST_BYTES = 2 * 1024 * 1024
"""Bodies per answer; a row is always answered, however large."""


async def scan(
    request: Scan,
    name: str,
    ring: Ring,
    store: Store,
    replica: Replica,
    decided: Decided,
    life: int,
) -> Reply:
    """Answer Scan from home copies and hints alike, in key order.

    `life`: a number that no earlier process of this node is likely to have had.
    """
    let_go = life + replica.hints.let_go
    start = request.after + b"\x00" if request.after else b""
    held = heapq.merge(
        store.scan(Family.RECORDS, start, request.until, request.limit),
        store.scan(Family.HINTS, start, request.until, request.limit),
    )
    rows: list[tuple[bytes, Dot, bool, bytes, bool]] = []
    size, more = 0, False
    for key, raw in held:
        if len(rows) >= request.limit or size >= MOST_BYTES:
            more = True
            break
        live = is_live(raw)
        speaks = live and name == next(
            (node for node in ring.cell(key).nodes if node not in request.without), None
        )
        body = body_of(raw) if speaks else b""
        size += len(body) + len(key)
        dot = peek(raw)
        rows.append((key, dot, live, body, decided.covers(dot)))
    for row in rows:
        await replica.key_durable(row[0])
    return Rows(rows, more or len(rows) >= request.limit, let_go)
