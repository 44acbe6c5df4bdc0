"""The identities of a gateway's operations, and the lowest open one."""

import asyncio
import random
from collections.abc import Sequence

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from ddb.gateway.routing.operation_ids import Operations, named_by_client
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


def test_operation_with_an_attempt_in_flight_stays_open() -> None:
    """`low` does not pass an operation while an attempt at it may be in flight."""

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
    """The second `end` of an operation has no effect."""
    operations = Operations(random.Random(1))
    operations.end(operations.begin())
    operations.end(1)
    assert operations.low == 2


def test_identity_carries_sender_and_number() -> None:
    """An operation's id is its gateway's random id, followed by its number."""
    one, other = Operations(random.Random(1)), Operations(random.Random(2))
    name = one.name(258)
    assert name.id == one.sender + (258).to_bytes(6, "big")
    assert len(name.id) == OPERATION_BYTES
    assert name.fingerprint == b""
    assert other.name(258).id != name.id


def test_key_names_the_same_operation_through_every_gateway() -> None:
    """The identity depends only on the Idempotency-Key and the request."""
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


_values = st.none() | st.integers(-9, 9) | st.text(max_size=3)
_documents = st.dictionaries(st.text(max_size=3), _values, max_size=5)
_tags = st.lists(st.binary(min_size=8, max_size=8), max_size=4)


def _sent(fields: list[tuple[str, object]], tags: Sequence[bytes]) -> Change:
    return Change(Kind.UPDATE, msgspec.json.encode(dict(fields)), tuple(tags))


@steady
@given(_documents, _tags, st.randoms(use_true_random=False))
def test_order_does_not_make_another_request(
    document: dict[str, object], tags: list[bytes], rng: random.Random
) -> None:
    """The order of fields and tags, and repeated tags, do not change the identity."""
    fields = list(document.items())
    first = named_by_client("key", "alice", _sent(fields, tags))
    rng.shuffle(fields)
    again = tags + tags[:1]
    rng.shuffle(again)
    assert named_by_client("key", "alice", _sent(fields, again)) == first


@steady
@given(_documents, _documents, _tags, _tags)
def test_meaning_makes_another_request(
    one: dict[str, object], other: dict[str, object], tags: list[bytes], others: list[bytes]
) -> None:
    """A different field or tag changes the identity."""
    same = one == other and set(tags) == set(others)
    first = named_by_client("key", "alice", _sent(list(one.items()), tags))
    second = named_by_client("key", "alice", _sent(list(other.items()), others))
    assert (first == second) is same
