"""Every message that processes exchange, as msgspec structs in compact arrays.

A request travels from a gateway or a node to a node; exactly one reply answers it. States travel
encoded (`ddb.record.state`), so that a node stores the bytes it was sent.
"""

from enum import IntEnum

import msgspec

from ddb.record.change import Kind, Outcome
from ddb.record.version import Dot

PROTOCOL = 8
"""Raised with every incompatible change; processes of different protocols refuse each other."""


class Message(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Base of all messages: only the encoding is shared."""


# Opening of a connection.


class Boot(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One start of a node: its id, and how far its disk had come by then.

    `number` counts the starts of this disk, and `nonce` is drawn at each. `ceiling` is the counter
    up to which ballots were reserved on the disk.
    """

    node_id: int
    number: int
    nonce: int
    ceiling: int


class Hello(Message, tag=1, frozen=True):
    """First request on every connection; `ring` is the digest of the caller's placement.

    `boot` is None for a gateway.
    """

    protocol: int
    ring: bytes
    caller: str
    counter: int
    boot: Boot | None = None


class Welcome(Message, tag=2, frozen=True):
    """The callee accepts; `counter` is its hybrid clock, so that ballots start above its floor."""

    name: str
    counter: int
    boot: Boot | None = None


class Unwelcome(Message, tag=3, frozen=True):
    """The callee refuses to talk, and says why to whoever reads the caller's log.

    `outdated`: the callee remembers a later state of the caller's disk.
    """

    reason: str
    outdated: bool = False


# From a gateway to the coordinator of a key.


class CoordinateGet(Message, tag=10, frozen=True):
    """Read one record, linearizably."""

    key: bytes


class CoordinateChange(Message, tag=11, frozen=True):
    """Do one change.

    `operation` and `fingerprint` are as in `ddb.record.state.Operation`. `retry`: an earlier
    attempt may have been delivered somewhere. `sender` and `low`: of the gateway with this id, no
    operation with a smaller sequence number can still be attempted. `begin_ms`: milliseconds
    that must be left until the deadline when the change is begun; otherwise it is `Overloaded`.
    """

    key: bytes
    kind: Kind
    body: bytes
    match: tuple[bytes, ...]
    operation: bytes
    fingerprint: bytes
    retry: bool
    sender: bytes
    low: int
    begin_ms: int = 0


class Scan(Message, tag=12, frozen=True):
    """List what a node holds from `after` on, in key order, at most `limit` rows.

    A body is wanted of live rows for which the node is the cell's first node not in `without`.
    """

    after: bytes
    until: bytes
    limit: int
    without: tuple[str, ...]


class GetDigests(Message, tag=13, frozen=True):
    """Ask for the summaries of all partitions that a node holds anything of."""


class GetStatus(Message, tag=14, frozen=True):
    """Ask a node for its status."""


class Ping(Message, tag=15, frozen=True):
    """Ask for a sign of life."""


# To a node as one replica of a cell: Read and Peek from gateways too, the rest from its peers.


class ReadReplica(Message, tag=20, frozen=True):
    """Ask for a record's state unless its newest dot is `newest`.

    A gateway wants it not `whole`: without the log of keyed operations, of up to 52 KiB.
    """

    key: bytes
    newest: Dot
    whole: bool = True


class ReadVersion(Message, tag=27, frozen=True):
    """Ask for a record's newest dot alone."""

    key: bytes


class Propose(Message, tag=21, frozen=True):
    """Promise `ballot`; and accept `state` under it if your newest dot is `base`."""

    key: bytes
    ballot: Dot
    base: Dot
    state: bytes


class Accept(Message, tag=22, frozen=True):
    """Accept `state` under its own newest dot."""

    key: bytes
    state: bytes


class HandoffBatch(Message, tag=23, frozen=True):
    """Hints coming home: accept each state as by `Accept`."""

    states: list[tuple[bytes, bytes]]


class CommitNotice(Message, tag=28, frozen=True):
    """My rounds with a counter above `since` and up to `upto` have ended: see `node.rounds`.

    `reached`: a counter that my ceiling on disk covers: a disk with a lower one is out of date.
    """

    node_id: int
    since: int
    upto: int
    reached: int


class Form(Message, tag=24, frozen=True):
    """Formation of a new cluster: the founder asks a blank node to join `cluster`."""

    cluster: bytes


class Membership(Message, tag=25, frozen=True):
    """Ask how far a node has come in joining a cluster."""


class Share(IntEnum):
    """A part of what a node with a new disk should hold, and where the asked node has it."""

    HOMES = 1
    """States of records it is a home of, from home copies."""
    HINTS = 2
    """States of records it is a home of, from hints."""
    STANDBY = 3
    """Dots alone of records it is the standby of, from home copies."""


class PullShare(Message, tag=26, frozen=True):
    """A node with a new disk asks for a part of its share, in key order after `after`.

    `floor`: a counter at or above every ballot that the lost disk can have accepted. The callee
    refuses what is no newer from now on, its own rounds too: one that the lost disk had stored,
    but this node not yet, would otherwise be decided by a copy that is no more.

    A node that has lost a range of keys alone asks in the same way for the keys from `after` to
    before `until`.
    """

    name: str
    share: Share
    after: bytes
    floor: int
    until: bytes


# Replies.


class GetResult(Message, tag=40, frozen=True):
    """Answers Get: the body, or None where there is no such record."""

    body: bytes | None


class ChangeResult(Message, tag=41, frozen=True):
    """Answers Do: decided, with the record afterwards."""

    outcome: Outcome
    body: bytes | None


class Undecided(Message, tag=42, frozen=True):
    """Answers Get and Do: not decided in time. `maybe`: the change may take effect all the same."""

    maybe: bool
    reason: str


class LogFull(Message, tag=62, frozen=True):
    """Answers Do: not begun, as the record remembers too many keyed operations.

    `retry_after_s`: whole seconds until the oldest of them are forgotten.
    """

    retry_after_s: int


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


class Status(Message, tag=45, frozen=True):
    """Answers Report: a JSON object."""

    json: bytes


class DiskState(IntEnum):
    """What a node says of its own disk, best first."""

    HEALTHY = 0
    SLOW = 1
    """Flushes are overdue: the node is the last choice, and stores what it is asked to."""
    STALLED = 2
    """A flush has been in flight for longer than any request lasts."""


class Pong(Message, tag=46, frozen=True):
    """Answers Ping."""

    ready: bool
    disk: DiskState = DiskState.HEALTHY


class DiskNotice(Message, tag=59, frozen=True):
    """Answers nothing: a node sends it to every caller when the state of its disk changes.

    `give_up`: the node asks the caller to send every request in flight to another node instead.
    Each of them may take effect. It does so where all nodes that share records with it are up.
    """

    disk: DiskState
    give_up: bool


class SameVersion(Message, tag=50, frozen=True):
    """Answers Read: my newest dot is the one you named."""


class ReplicaState(Message, tag=51, frozen=True):
    """Answers Read and Propose: my state is another one (empty where I have none).

    `decided`, in answers to Read: whether I know it to be, or to be overtaken by one that is.
    """

    state: bytes
    decided: bool = False


class VersionOnly(Message, tag=57, frozen=True):
    """Answers Peek; `decided` as in `ReplicaState`."""

    dot: Dot
    decided: bool = False


class Accepted(Message, tag=52, frozen=True):
    """Answers Propose and Accept: durably accepted."""


class Rejected(Message, tag=53, frozen=True):
    """Answers Propose and Accept: not stored, because of a newer promise, floor or version."""

    promise: Dot
    newest: Dot


class HandoffResult(Message, tag=54, frozen=True):
    """Answers Hand: for each state in order, my newest durable dot and my newest promise.

    None where I cannot read my own copy: nothing was done.
    """

    marks: list[tuple[Dot, Dot] | None]


class CommitNoticeAck(Message, tag=58, frozen=True):
    """Answers Ended.

    `expired`: for each node id a counter up to which its ballots are older than an Idempotency-Key
    is remembered. It spares a node that has restarted the wait of a whole window.
    """

    expired: dict[int, int] = {}


class Member(Message, tag=55, frozen=True):
    """Answers Form and Membership: a stage (`ddb.node.membership.identity`) and the cluster's id.

    `counter` is the node's hybrid clock: at or above every ballot it has seen. `votes`: whether it
    is READY, and its peers have found nothing against its disk since it started.
    """

    stage: int
    cluster: bytes
    counter: int
    votes: bool


class SharePage(Message, tag=56, frozen=True):
    """Answers Refill: (key, newest dot, state or empty), and the key to go on after, if any.

    `gaps`: key ranges (from, to before) within this part that the node cannot read itself.
    """

    rows: list[tuple[bytes, Dot, bytes]]
    after: bytes | None
    gaps: list[tuple[bytes, bytes]]


class Failed(Message, tag=60, frozen=True):
    """Answers anything that the node would not even begin: nothing was done."""

    reason: str


class Overloaded(Message, tag=61, frozen=True):
    """Answers Get and Do: too much waits before this request, and nothing was done for it.

    Another coordinator would only compete with this one.
    """

    reason: str


Request = (
    Hello
    | CoordinateGet
    | CoordinateChange
    | Scan
    | GetDigests
    | GetStatus
    | Ping
    | ReadReplica
    | ReadVersion
    | Propose
    | Accept
    | HandoffBatch
    | CommitNotice
    | Form
    | Membership
    | PullShare
)
Reply = (
    Welcome
    | Unwelcome
    | GetResult
    | ChangeResult
    | Undecided
    | LogFull
    | ScanPage
    | Digests
    | Status
    | Pong
    | DiskNotice
    | SameVersion
    | ReplicaState
    | VersionOnly
    | Accepted
    | Rejected
    | HandoffResult
    | CommitNoticeAck
    | Member
    | SharePage
    | Failed
    | Overloaded
)
