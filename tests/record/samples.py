"""States and operations that several tests of the record model use."""

from ddb.record.change import Outcome
from ddb.record.keyed_log import appended
from ddb.record.state import (
    Entry,
    Operation,
    State,
    digest_of,
)
from ddb.record.version import NEVER, Dot
from tests.record.strategies import Remembering

OLD, NEW = b'{"a":1,"b":1}', b'{"b":2}'
MINE = Operation(b"gateway-0001")
NAMED = Operation(b"client-named", b"abcd")
BALLOT = Dot(2**63, 7)
EARLIER = Dot(4, 2)


class Forgetting(Remembering):
    """A `Retention` that forgets some entries, and every slice up to a ballot."""

    def __init__(self, ids: set[int], upto: Dot = NEVER) -> None:
        self._ids = ids
        self._upto = upto
        self.observed: list[tuple[Dot, ...]] = []

    def forgettable(self, entry: Entry) -> bool:
        """See `Retention.forgettable`."""
        return id(entry) in self._ids

    def saw(self, version: tuple[Dot, ...]) -> None:
        """See `Retention.saw`."""
        self.observed.append(version)

    def expired(self, ballot: Dot) -> bool:
        """See `Retention.expired`."""
        return ballot <= self._upto


def live(*recent: Entry, keyed: bytes = b"") -> State:
    return State((Dot(5, 1),), True, OLD, recent, keyed)


def log(outcome: Outcome = Outcome.DONE, ballot: Dot = EARLIER) -> bytes:
    return appended(b"", digest_of(NAMED), NAMED.fingerprint, outcome, ballot)
