"""The plan of one run: all that a seed decides before the run begins.

A plan is a value, so that the shrinker can remove operations and faults from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Action(Enum):
    """An operation of the API."""

    GET = "get"
    POST = "post"
    PUT = "put"
    DELETE = "delete"
    LIST = "list"
    COUNT = "count"


class Match(Enum):
    """The If-Match that a change carries."""

    NONE = "none"
    ANY = "any"
    SEEN = "seen"
    """The tag of the newest body that this client has received."""


@dataclass(frozen=True, slots=True)
class Op:
    """One operation of a client.

    Args:
        gap: seconds from the client's previous operation to this one.
        retries: attempts after the first, under one Idempotency-Key. 0 sends no key.
        repeat: True sends all attempts. False stops at the first decision.
        timeout_s: seconds until the client gives an attempt up.
        cancels: True cancels the request in the gateway at the timeout. False lets it run on.
        pause: seconds from an answer to the next attempt.
        key: an Idempotency-Key to share with other operations. It alone determines the body.
            None takes a new key.
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
    """The kinds of faults."""

    KILL = "kill"
    """A node's process dies and restarts; its writes stay in the page cache."""
    POWER = "power"
    """A node loses power: a prefix of its unflushed batches survives, the others are lost."""
    BLACKOUT = "blackout"
    """All nodes lose power at once."""
    DIES_TWICE = "dies twice"
    """A node dies, and dies again while it recovers."""
    ROLLING = "rolling"
    """All nodes restart one after the other, faster than they hand off."""
    PAUSE = "pause"
    """A node's process stops for a while, as by SIGSTOP."""
    WIPE = "wipe"
    """A node loses its disk and gets a blank one."""
    IMAGE = "image"
    """The operator takes an image of a node's disk."""
    OLD_DISK = "old disk"
    """A node dies, and the operator restores the image of its disk."""
    ISOLATE = "isolate"
    """A node is cut off from all nodes and gateways."""
    CUT = "cut"
    """Two hosts cannot reach each other."""
    DEAF = "deaf"
    """Messages from `one` to `other` are lost; those from `other` to `one` arrive."""
    BLIND = "blind"
    """A gateway cannot reach a node."""
    CLOG = "clog"
    """Messages between two hosts take 50 to 450 ms longer."""
    SLOW_WAY = "slow way"
    """Messages from one node to one other take some milliseconds longer."""
    SLOW_ASK = "slow ask"
    """Messages from a gateway to a node take some milliseconds longer."""
    RESET = "reset"
    """The connections between two hosts break."""
    STORM = "storm"
    """Many messages are lost, duplicated or overtaken."""
    LAG = "lag"
    """Most messages sent during the fault arrive late, after messages sent later."""
    SLOW_DISK = "slow disk"
    STALLED_DISK = "stalled disk"
    """No flush of a node ends, and its process keeps running."""
    LATE_DISKS = "late disks"
    """Each flush of each node takes slightly longer than on a healthy disk."""
    IO_ERROR = "io error"
    DISK_FULL = "disk full"
    BAD_BLOCK = "bad block"
    """A node can no longer read some adjacent rows; compaction meets them after `lasts`."""
    BAD_ROW = "bad row"
    """A row of a node is cut short, so that it is readable and no state."""
    BAD_BODY = "bad body"
    """The body of a record on one node is cut short, so that it is no JSON.

    No check of ddb finds it before an update needs the body, so a plan sends updates only.
    """
    CLOCK = "clock"
    """A node's wall clock jumps."""
    GATEWAY = "gateway"
    """A gateway's process dies and restarts."""
    GATEWAY_PAUSE = "gateway pause"
    STRAY = "stray"
    """A process of another cluster greets a node in the name of a peer."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Args:
        at: seconds from the beginning of the safety phase.
        one: the number of the node that the fault concerns; for a gateway's fault, its number.
        other: the number of the other node or gateway, for faults between two.
        lasts: seconds.
        fuse: callbacks that the process still runs before it dies. 0 kills it at once.
        amount: from 0 to 1, the fault's severity; above 1 for `SLOW_WAY` and `SLOW_ASK`.
    """

    at: float
    kind: FaultKind
    one: int
    other: int
    lasts: float
    fuse: int
    amount: float


@dataclass(frozen=True, slots=True)
class Plan:
    """One run."""

    seed: int
    salt: int
    """Seeds all choices during the run. The shrinker tries several."""
    nodes: int
    gateways: int
    records: int
    skew: float
    """Largest error of a wall clock at the start, in seconds."""
    weather: tuple[float, float, float, float, float]
    """In the safety phase: delay and jitter in seconds, shares of lost, doubled, late messages."""
    lateness: float
    """Most seconds by which a late message is late."""
    fsync: float
    """Seconds that a flush takes at least; it takes at most twice as long."""
    knobs: Mapping[str, float | int] = field(hash=False)
    ops: tuple[Op, ...]
    faults: tuple[Fault, ...]
    early: bool = False
    """True: faults begin while the cluster forms. False: they begin once it has formed."""
    datagrams: bool = False
    """True: no connections, so a message may reach a later incarnation. False: connections."""
    wired: bool = False
    """True: the real links and listeners run over simulated streams. False: simulated ones."""
    crowded: bool = False
    """True: more clients than the nodes can serve in time, so nodes refuse some. False: not so."""
    by_role: bool = False
    """True: faults number nodes by role in the first record's cell. False: by name, `db-0` on."""
