"""Which of a gateway's operations are over."""

import asyncio
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from ddb.gateway.operations import Operations, named_by_client
from ddb.record.change import Change, Kind
from ddb.record.state import OPERATION_BYTES

steady = settings(deadline=None)


@steady
@given(st.lists(st.integers(-1, 20)))
def test_low_is_the_least_open_number(steps: list[int]) -> None:
    """Nothing below `low` is open, and `low` itself is open or the next to begin."""
    operations = Operations(random.Random(1))
    still_open: list[int] = []
    begun = 0
    for which in steps:
        if which < 0 or not still_open:
            begun += 1
            assert operations.begin() == begun
            still_open.append(begun)
        else:
            operations.end(still_open.pop(which % len(still_open)))
        assert operations.low == min(still_open, default=begun + 1)


def test_operation_that_may_live_on_stays_open_a_while() -> None:
    """An operation whose attempts may still be under way holds `low` back until they are dead."""

    async def scenario() -> None:
        operations = Operations(random.Random(1))
        loop = asyncio.get_running_loop()
        first, second = operations.begin(), operations.begin()
        began = loop.time()
        operations.end(first, linger=0.05)
        operations.end(second)
        assert operations.low == first
        for _ in range(500):
            await asyncio.sleep(0.01)
            if operations.low != first:
                break
        assert loop.time() - began >= 0.05 + 0.45
        assert operations.low == second + 1

    asyncio.run(asyncio.wait_for(scenario(), 10))


def test_ended_twice_is_ended_once() -> None:
    """To end an operation that is over already does no harm."""
    operations = Operations(random.Random(1))
    operations.end(operations.begin())
    operations.end(1)
    assert operations.low == 2


def test_identity_carries_sender_and_number() -> None:
    """An operation's id is its gateway's random id and its number; two gateways never share one."""
    one, other = Operations(random.Random(1)), Operations(random.Random(2))
    name = one.name(258)
    assert name.id == one.sender + (258).to_bytes(6, "big")
    assert len(name.id) == OPERATION_BYTES
    assert name.fingerprint == b""
    assert other.name(258).id != name.id


def test_key_names_the_same_operation_through_every_gateway() -> None:
    """An Idempotency-Key's operation depends on nothing but the key and the request."""
    change = Change(Kind.UPDATE, b'{"a":1}')
    named = named_by_client("key", "alice", change)
    assert named == named_by_client("key", "alice", Change(Kind.UPDATE, b'{"a":1}'))
    assert named.id != named_by_client("other", "alice", change).id
    for record_id, other in (
        ("bob", change),
        ("alice", Change(Kind.CREATE, b'{"a":1}')),
        ("alice", Change(Kind.UPDATE, b'{"a":2}')),
        ("alice", Change(Kind.UPDATE, b'{"a":1}', (b"*",))),
    ):
        again = named_by_client("key", record_id, other)
        assert again.id == named.id
        assert again.fingerprint != named.fingerprint
