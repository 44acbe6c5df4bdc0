"""The plan of one run: everything that a seed decides beforehand, so that it can be cut down."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Action(Enum):
    """What a client does."""

    GET = "get"
    POST = "post"
    PUT = "put"
    DELETE = "delete"
    LIST = "list"
    COUNT = "count"


class Match(Enum):
    """Which If-Match a change carries."""

    NONE = "none"
    ANY = "any"
    SEEN = "seen"
    """The tag of the body that this client saw last."""


@dataclass(frozen=True, slots=True)
class Op:
    """One operation of a client: `gap` seconds after its last, through `gateway`.

    `retries`: how often it is sent again under one Idempotency-Key (0: without a key); `repeat`:
    whether even after an answer. `pause`: seconds from an answer to the next attempt. `timeout_s`:
    seconds until the client gives up. `key`: the Idempotency-Key where it is no new one; what is
    sent under it depends on nothing else.
    """

    client: int
    gap: float
    gateway: int
    action: Action
    record: int
    fields: tuple[str, ...] = ()
    match: Match = Match.NONE
    retries: int = 0
    repeat: bool = False
    timeout_s: float = 1.5
    cancels: bool = False
    pause: float = 0.01
    key: str | None = None


class FaultKind(Enum):
    """What can happen."""

    KILL = "kill"
    """A node's process dies and is restarted; what it wrote stays in the page cache."""
    POWER = "power"
    """A node loses power: what was not flushed is gone, but for a prefix."""
    BLACKOUT = "blackout"
    """All nodes lose power at once."""
    DIES_TWICE = "dies twice"
    """A node is killed, and again while it recovers."""
    ROLLING = "rolling"
    """All nodes are restarted one after the other, faster than they hand off."""
    PAUSE = "pause"
    """A node stands still."""
    WIPE = "wipe"
    """A node's disk is lost."""
    IMAGE = "image"
    """An image of a node's disk is taken, and kept."""
    OLD_DISK = "old disk"
    """A node dies, and its disk is put back as it was when its image was taken."""
    ISOLATE = "isolate"
    """A node is cut off from everybody."""
    CUT = "cut"
    """Two hosts cannot reach each other."""
    DEAF = "deaf"
    """Messages from one host to another are lost, the other way they arrive."""
    BLIND = "blind"
    """A gateway cannot reach a node."""
    CLOG = "clog"
    """Messages between two hosts take long."""
    SLOW_WAY = "slow way"
    """What one node sends to another takes some milliseconds longer, and no other message does."""
    SLOW_ASK = "slow ask"
    """The same of what a gateway sends to a node."""
    RESET = "reset"
    """The connections between two hosts break."""
    STORM = "storm"
    """Many messages are lost, doubled or overtaken."""
    LAG = "lag"
    """Most messages sent at this moment arrive late, and what is sent afterwards before them."""
    SLOW_DISK = "slow disk"
    STALLED_DISK = "stalled disk"
    """No flush of a node ends, while its process runs."""
    LATE_DISKS = "late disks"
    """Every flush of every node takes somewhat longer than a healthy disk does."""
    IO_ERROR = "io error"
    DISK_FULL = "disk full"
    BAD_BLOCK = "bad block"
    """A stretch of a node's rows cannot be read any more; compaction meets it after `lasts`."""
    CLOCK = "clock"
    """A node's wall clock jumps."""
    GATEWAY = "gateway"
    """A gateway's process dies and is restarted."""
    GATEWAY_PAUSE = "gateway pause"


@dataclass(frozen=True, slots=True)
class Fault:
    """`at` seconds into the run, for `lasts` seconds; `fuse`: callbacks to wait before a death."""

    at: float
    kind: FaultKind
    one: int
    other: int
    lasts: float
    fuse: int
    amount: float


@dataclass(frozen=True, slots=True)
class Plan:
    """One run. `salt` seeds what is drawn while it runs."""

    seed: int
    salt: int
    nodes: int
    gateways: int
    records: int
    skew: float
    weather: tuple[float, float, float, float, float]
    """Delay, jitter, loss, doubled, late: while faults are on."""
    lateness: float
    """Seconds by which the late ones may be."""
    fsync: float
    """Seconds that a flush takes at least, and at most twice as long."""
    knobs: Mapping[str, float | int] = field(hash=False)
    ops: tuple[Op, ...]
    faults: tuple[Fault, ...]
    early: bool = False
    """Whether faults begin while the cluster is still forming."""
    datagrams: bool = False
    """Whether there are no connections: what was sent may reach a later incarnation."""
    wired: bool = False
    """Whether the real links and listeners run, over simulated byte streams."""
    crowded: bool = False
    """Whether more clients ask at once than can be served in time: some are refused."""
    by_role: bool = False
    """Whether faults name nodes by role in the first record's cell: home, partner, standby."""
