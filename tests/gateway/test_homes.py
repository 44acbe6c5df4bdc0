"""What a gateway makes of two homes that do not agree, where nobody can tell it the same twice."""

import asyncio
import random
from collections.abc import Iterator

import pytest

from ddb.gateway.routing.router import Router
from ddb.record.codec import encode, peek
from ddb.record.state import State
from ddb.record.version import Dot
from ddb.ring.ring import Ring, key_of
from ddb.runtime.system_clock import SystemClock
from ddb.wire.messages import (
    CoordinateGet,
    GetResult,
    ReadReplica,
    ReadVersion,
    ReplicaState,
    Reply,
    Request,
    VersionOnly,
)
from ddb.wire.ports import Condition

RING = Ring(("a", "b", "c"))
HOME, PARTNER = RING.cell(key_of("ada")).homes
OLD, NEW, LATER = (encode(State((Dot(n << 40, n),), True, b'{"n":%d}' % n)) for n in (1, 2, 3))
COORDINATED = b"coordinated"

Held = tuple[bytes, bool]
"""A home's state, and whether it takes that for decided."""


class Homes:
    """A `Transport` to homes that hold one thing in the first look and another in the second."""

    def __init__(self, *looks: dict[str, Held]) -> None:
        self._looks: dict[str, Iterator[Held]] = {
            name: iter([look[name] for look in looks]) for name in (HOME, PARTNER)
        }
        self.coordinated = 0

    def ask(
        self, to: str, request: Request, *, deadline: float, timeout_s: float
    ) -> asyncio.Future[Reply]:
        """As `Transport.ask`."""
        asked: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        asked.set_result(self._reply(to, request))
        return asked

    def condition(self, _to: str) -> Condition:
        """As `Transport.condition`."""
        return Condition.UP

    def _reply(self, to: str, request: Request) -> Reply:
        match request:
            case ReadReplica():
                return ReplicaState(*next(self._looks[to]))
            case ReadVersion():
                raw, decided = next(self._looks[to])
                return VersionOnly(peek(raw), decided)
            case CoordinateGet():
                self.coordinated += 1
                return GetResult(COORDINATED)
            case _:
                raise AssertionError(request)


@pytest.mark.parametrize("ahead", [HOME, PARTNER])
@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        pytest.param((OLD, (NEW, False)), None, COORDINATED, id="undecided"),
        pytest.param((OLD, (NEW, True)), (OLD, NEW), b'{"n":2}', id="decided"),
        pytest.param((OLD, (NEW, True)), (NEW, NEW), b'{"n":2}', id="decided and brought up"),
        pytest.param((OLD, (NEW, True)), (LATER, NEW), COORDINATED, id="overtaken"),
        pytest.param((OLD, (NEW, True)), (LATER, LATER), COORDINATED, id="changed meanwhile"),
    ],
)
def test_newer_of_two_states_is_told_if_it_was_decided_and_is_the_newest_still(
    ahead: str, first: tuple[bytes, Held], second: tuple[bytes, bytes] | None, told: bytes
) -> None:
    """What a home takes for decided may have been overtaken, of which the other home knows."""
    behind = PARTNER if ahead == HOME else HOME
    looks: list[dict[str, Held]] = [{behind: (first[0], True), ahead: first[1]}]
    if second is not None:
        looks.append({behind: (second[0], True), ahead: (second[1], True)})
    homes = Homes(*looks)

    async def scenario() -> bytes | None:
        router = Router(RING, homes, SystemClock(), random.Random(1))
        body = await router.read("ada")
        # The mending of the one that is behind, for which nobody waits.
        await asyncio.sleep(0)
        return body

    assert asyncio.run(scenario()) == told
    assert homes.coordinated == 1
