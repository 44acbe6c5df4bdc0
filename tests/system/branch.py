"""Plants the state that an interrupted coordinator leaves on one home."""

from ddb.record.change import Change, Kind
from ddb.record.codec import encode
from ddb.record.state import Intent, Operation, State, step
from ddb.record.version import Dot
from ddb.wire.messages import Accepted, Propose
from tests.record.strategies import REMEMBERING
from tests.system.homes import Homes


def branch(homes: Homes, name: str, key: bytes, coordinator: int, group: int) -> State:
    """Store a change of `group` on one home only, and return the state."""
    base = homes.state(name, key)
    with homes.peer(name, coordinator) as peer:
        counter = max(peer.welcome.counter, base.newest.counter) + 1 + coordinator
        ballot = Dot(counter, coordinator)
        fields = Change(Kind.UPDATE, b'{"group":%d}' % group)
        operation = Operation(coordinator.to_bytes(12, "big"))
        made = step(base, base, Intent(fields, operation), ballot, REMEMBERING).state
        assert peer.ask(Propose(key, ballot, base.newest, encode(made))) == Accepted()
    return made
