"""LIST and COUNT: from a gateway to every node, and back."""

from ddb.wire.messages.base import Message


class Scan(Message, tag=12, frozen=True):
    """List what a node holds from `after` on, in key order, at most `limit` rows.

    A body is wanted of live rows for which the node is the cell's first node not in `without`.
    """

    writes_disk = False

    after: bytes
    until: bytes
    limit: int
    without: tuple[str, ...]


class ScanPage(Message, tag=43, frozen=True):
    """Answers Scan: the rows in columns, and whether others follow the last.

    Of each row: the key, the head of the encoded state (`state.HEAD`), its body or empty, and 1
    where the node knows this state to be decided, else 0. `let_go` is the same in two answers of a
    node only where it has let go of no hint between them. A LIST of 100 moves some 300 rows, and in
    columns they take the gateway some 60 us to decode, where as many tuples took it 280.

    `damaged` names the partitions of the stretch of which the node may lack rows.
    """

    keys: list[bytes]
    heads: list[bytes]
    bodies: list[bytes]
    decided: bytes
    more: bool
    let_go: int
    damaged: tuple[int, ...] = ()


class GetDigests(Message, tag=13, frozen=True):
    """Ask for the summaries of all partitions that a node holds anything of."""

    writes_disk = False


class Digests(Message, tag=44, frozen=True):
    """Answers Tally.

    `records` packs, for each partition in order, the live count and the digest (two big-endian
    64-bit integers) of the node's home copies. `hints` names, for each partition of which the
    node holds hints, the homes that hold all of them too (none where none is known to). `damaged`
    names the partitions of which the node may lack copies, so that its summary does not count.
    """

    records: bytes
    hints: dict[int, tuple[str, ...]]
    damaged: tuple[int, ...] = ()
