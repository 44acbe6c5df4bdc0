"""Operations of clients: from a gateway to the coordinator of a key, and back."""

from ddb.record.change import Kind, Outcome
from ddb.wire.messages.base import Message


class CoordinateGet(Message, tag=10, frozen=True):
    """Read one record, linearizably."""

    writes_disk = False

    key: bytes


class CoordinateChange(Message, tag=11, frozen=True):
    """Make one change.

    `operation` and `fingerprint` are as in `ddb.record.state.Operation`. `in_doubt`: True if a
    node may have received an earlier attempt. False: this is the first one. `sender` is the id of
    the gateway. `low`: no operation of that gateway with a smaller sequence number can still
    arrive. `begin_ms`: milliseconds that must remain until the deadline when the coordinator
    begins the change. If fewer remain, it replies `Overloaded`.
    """

    writes_disk = True

    key: bytes
    kind: Kind
    body: bytes
    match: tuple[bytes, ...]
    operation: bytes
    fingerprint: bytes
    in_doubt: bool
    sender: bytes
    low: int
    begin_ms: int = 0


class GetResult(Message, tag=40, frozen=True):
    """The reply to `CoordinateGet`: the body, or None if there is no record."""

    body: bytes | None


class ChangeResult(Message, tag=41, frozen=True):
    """The reply to a decided `CoordinateChange`, with the record afterwards."""

    outcome: Outcome
    body: bytes | None


class Undecided(Message, tag=42, frozen=True):
    """The reply to a get or change that was not decided in time.

    `in_doubt`: True if the change may still take effect. False: it has no effect, now or later.
    """

    in_doubt: bool
    reason: str


class LogFull(Message, tag=62, frozen=True):
    """The reply to a `CoordinateChange` whose record has too many keyed operations.

    The coordinator did not begin the change. The oldest operations expire in `retry_after_s`
    seconds.
    """

    retry_after_s: int


class Overloaded(Message, tag=61, frozen=True):
    """The reply of a coordinator that has too many requests in its queue.

    The coordinator did not begin this one. The gateway does not try a second coordinator, which
    would only compete with the first.
    """

    reason: str
