"""The digests of the nodes' copies, per partition."""

import struct
from collections.abc import Mapping, Sequence

from ddb.ring.ring import Ring
from ddb.wire.messages import Digests, GetDigests
from tests.system.peer import Peer

_ROW = struct.Struct(">QQ")
"""One partition's digest: the count of live records, and the XOR over all copies."""

Table = Sequence[tuple[int, int]]
"""A node's digest of each partition."""


def read_digests(peer: Peer) -> Table:
    """Ask a node for its digests. Raises `OSError` where it does not reply."""
    reply = peer.ask(GetDigests())
    assert isinstance(reply, Digests), reply
    return list(_ROW.iter_unpack(reply.records))


def unequal_homes(ring: Ring, tables: Mapping[str, Table]) -> set[int]:
    """Return the partitions whose digests differ between the homes."""
    return {
        number
        for number, cell in enumerate(ring.cells)
        if tables[cell.home][number] != tables[cell.partner][number]
    }
