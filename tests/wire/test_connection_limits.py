"""The connections that a node keeps, without sockets."""

from dataclasses import dataclass

from ddb.runtime.descriptors import MEMBER_CONNECTIONS
from ddb.wire.connection_limits import (
    IDLE_TIMEOUT_S,
    SILENT_S,
    STRANGER_TIMEOUT_S,
    ConnectionLimits,
    Connections,
)

LIMITS = ConnectionLimits(strangers=3, gateways=2, members=frozenset({"db-1"}))


@dataclass(slots=True, eq=False)
class One:
    """A connection whose last bytes arrived at `active_at`."""

    active_at: float = 0.0


def introduced(connections: Connections[One], caller: str, now: float) -> tuple[One, One | None]:
    """Return a new connection of `caller`, and the connection to close."""
    one = One(now)
    assert connections.opened(one, now) is None
    return one, connections.introduced(one, caller, now)


def test_oldest_stranger_gives_way() -> None:
    """A stranger beyond the limit takes the place of the oldest one."""
    connections: Connections[One] = Connections(LIMITS)
    strangers = [One() for _ in range(5)]
    surplus = [connections.opened(one, 0.0) for one in strangers]
    assert surplus == [None, None, None, strangers[0], strangers[1]]


def test_strangers_take_no_place_of_introduced_callers() -> None:
    """Gateways and members keep their connections when 300 strangers connect."""
    connections: Connections[One] = Connections(LIMITS)
    friends = {introduced(connections, name, 0.0)[0] for name in ("db-1", "a gateway")}
    surplus = {connections.opened(One(), 0.0) for _ in range(300)}
    assert not friends & surplus


def test_gateway_beyond_the_limit_is_refused() -> None:
    """A new gateway has no room while all others are active."""
    connections: Connections[One] = Connections(LIMITS)
    for _ in range(2):
        assert introduced(connections, "a gateway", 0.0)[1] is None
    one, surplus = introduced(connections, "a gateway", SILENT_S / 2)
    assert surplus is one


def test_silent_gateway_gives_way() -> None:
    """A silent gateway at the limit gives way to a new one."""
    connections: Connections[One] = Connections(LIMITS)
    vanished, _ = introduced(connections, "a gateway", 0.0)
    alive, _ = introduced(connections, "a gateway", 0.0)
    alive.active_at = SILENT_S
    assert introduced(connections, "a gateway", SILENT_S)[1] is vanished


def test_member_has_room_at_the_limit() -> None:
    """A node has room at the limit of gateways, and its oldest connection gives way."""
    connections: Connections[One] = Connections(LIMITS)
    for _ in range(2):
        introduced(connections, "a gateway", 0.0)
    mine = [introduced(connections, "db-1", float(at)) for at in range(MEMBER_CONNECTIONS + 1)]
    assert [surplus for _, surplus in mine] == [None] * MEMBER_CONNECTIONS + [mine[0][0]]


def test_silence_ends_connections() -> None:
    """A stranger times out after 2 s without a Hello, other callers after 30 s without a byte."""
    connections: Connections[One] = Connections(LIMITS)
    stranger, gateway = One(), introduced(connections, "a gateway", 0.0)[0]
    member = introduced(connections, "db-1", 0.0)[0]
    connections.opened(stranger, 0.0)

    def overdue(now: float) -> set[One]:
        return {one for one, _ in connections.overdue(now)}

    assert overdue(STRANGER_TIMEOUT_S - 0.01) == set()
    assert overdue(STRANGER_TIMEOUT_S) == {stranger}
    connections.closed(stranger)
    member.active_at = 1.0
    assert overdue(IDLE_TIMEOUT_S) == {gateway}
    assert overdue(IDLE_TIMEOUT_S + 1.0) == {gateway, member}


def test_pause_of_this_process_is_no_silence_of_callers() -> None:
    """A pause of this process extends the timeout of every connection."""
    connections: Connections[One] = Connections(LIMITS)
    introduced(connections, "a gateway", 0.0)
    connections.opened(One(), 0.0)
    connections.forgive(100.0)
    assert list(connections.overdue(100.0)) == []
    assert len(list(connections.overdue(100.0 + IDLE_TIMEOUT_S))) == 2
