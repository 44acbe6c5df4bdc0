"""All messages that processes exchange, as msgspec structs in compact arrays.

A gateway or a node sends a request to a node, and exactly one reply answers it. A state travels as
the bytes of `ddb.record.codec`, so a node stores the bytes that it receives. Each module has the
requests of one concern and their replies; the two unions are here.
"""

from typing import get_args

from ddb.wire.messages.base import Failed, Message
from ddb.wire.messages.client import (
    ChangeResult,
    CoordinateChange,
    CoordinateGet,
    GetResult,
    LogFull,
    Overloaded,
    Undecided,
)
from ddb.wire.messages.handshake import PROTOCOL, Boot, Hello, Refusal, Unwelcome, Welcome
from ddb.wire.messages.listing import Digests, GetDigests, Scan, ScanPage
from ddb.wire.messages.membership import Form, Member, Membership
from ddb.wire.messages.repair import HandoffBatch, HandoffResult, PullShare, Share, SharePage
from ddb.wire.messages.replica import (
    Accept,
    Accepted,
    CommitNotice,
    CommitNoticeAck,
    Propose,
    ReadReplica,
    ReadVersion,
    Rejected,
    ReplicaState,
    SameVersion,
    VersionOnly,
)
from ddb.wire.messages.status import DiskNotice, DiskState, GetStatus, Ping, Pong, Status

__all__ = [
    "PROTOCOL",
    "REPLIES",
    "REQUESTS",
    "Accept",
    "Accepted",
    "Boot",
    "ChangeResult",
    "CommitNotice",
    "CommitNoticeAck",
    "CoordinateChange",
    "CoordinateGet",
    "Digests",
    "DiskNotice",
    "DiskState",
    "Failed",
    "Form",
    "GetDigests",
    "GetResult",
    "GetStatus",
    "HandoffBatch",
    "HandoffResult",
    "Hello",
    "LogFull",
    "Member",
    "Membership",
    "Message",
    "Overloaded",
    "Ping",
    "Pong",
    "Propose",
    "PullShare",
    "ReadReplica",
    "ReadVersion",
    "Refusal",
    "Rejected",
    "ReplicaState",
    "Reply",
    "Request",
    "SameVersion",
    "Scan",
    "ScanPage",
    "Share",
    "SharePage",
    "Status",
    "Undecided",
    "Unwelcome",
    "VersionOnly",
    "Welcome",
]

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

REQUESTS: tuple[type[Message], ...] = get_args(Request)
"""The classes of `Request`."""
REPLIES: tuple[type[Message], ...] = get_args(Reply)
"""The classes of `Reply`."""
