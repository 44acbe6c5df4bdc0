"""Operations of clients: from a gateway to the coordinator of a key, and back."""

from ddb.record.change import Kind, Outcome
from ddb.wire.messages.base import Message


class CoordinateGet(Message, tag=10, frozen=True):
    """Read one record, linearizably."""

    writes_disk = False

    key: bytes


class CoordinateChange(Message, tag=11, frozen=True):
    """Do one change.

    `operation` and `fingerprint` are as in `ddb.record.state.Operation`. `retry`: an earlier
    attempt may have been delivered somewhere. `sender` and `low`: of the gateway with this id, no
    operation with a smaller sequence number can still be attempted. `begin_ms`: milliseconds
    that must be left until the deadline when the change is begun; otherwise it is `Overloaded`.
    """

    writes_disk = True

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


class Overloaded(Message, tag=61, frozen=True):
    """Answers Get and Do: too much waits before this request, and nothing was done for it.

    Another coordinator would only compete with this one.
    """

    reason: str
