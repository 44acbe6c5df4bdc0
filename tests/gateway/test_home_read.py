"""The two-home read while the homes differ and change between two requests."""

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
    VersionOnly,
)
from tests.fakes.transport import Asked, FakeTransport

RING = Ring(("a", "b", "c"))
HOME, SECOND_HOME = RING.cell(key_of("ada")).homes
OLD, NEW, LATER = (encode(State((Dot(n << 40, n),), True, b'{"n":%d}' % n)) for n in (1, 2, 3))
COORDINATED = b"coordinated"

Reported = tuple[bytes, bool]
"""A home's state, and whether the home calls it decided."""


class Homes:
    """Homes whose states change between the first and the second read."""

    def __init__(self, *reads: dict[str, Reported]) -> None:
        self._reads: dict[str, Iterator[Reported]] = {
            name: iter([read[name] for read in reads]) for name in (HOME, SECOND_HOME)
        }
        self.coordinated = 0

    def reply(self, asked: Asked) -> Reply:
        """Return the home's reply."""
        match asked.request:
            case ReadReplica():
                return ReplicaState(*next(self._reads[asked.to]))
            case ReadVersion():
                raw, decided = next(self._reads[asked.to])
                return VersionOnly(peek(raw), decided)
            case CoordinateGet():
                self.coordinated += 1
                return GetResult(COORDINATED)
            case _:
                raise AssertionError(asked.request)


@pytest.mark.parametrize("ahead", [HOME, SECOND_HOME])
@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        pytest.param((OLD, (NEW, False)), None, COORDINATED, id="undecided"),
        pytest.param((OLD, (NEW, True)), (OLD, NEW), b'{"n":2}', id="decided"),
        pytest.param((OLD, (NEW, True)), (NEW, NEW), b'{"n":2}', id="decided and brought up"),
        pytest.param((OLD, (NEW, True)), (LATER, NEW), COORDINATED, id="overtaken"),
        pytest.param((OLD, (NEW, True)), (LATER, LATER), COORDINATED, id="changed meanwhile"),
    ],
)
def test_newer_state_is_read_if_decided_and_still_the_newest(
    ahead: str, first: tuple[bytes, Reported], second: tuple[bytes, bytes] | None, expected: bytes
) -> None:
    """A home's claim counts only if the other home has no newer state afterwards."""
    behind = SECOND_HOME if ahead == HOME else HOME
    reads: list[dict[str, Reported]] = [{behind: (first[0], True), ahead: first[1]}]
    if second is not None:
        reads.append({behind: (second[0], True), ahead: (second[1], True)})
    homes = Homes(*reads)

    async def scenario() -> bytes | None:
        router = Router(RING, FakeTransport(homes.reply), SystemClock(), random.Random(1))
        body = await router.read("ada")
        # Let the repair of the older home start.
        await asyncio.sleep(0)
        return body

    assert asyncio.run(scenario()) == expected
    assert homes.coordinated == 1
