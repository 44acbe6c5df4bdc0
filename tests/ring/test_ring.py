"""The ring: balance, minimal movement, and the format of keys.

Measured with three styles of node names, as multiples of a fair share of the copies. Each of 3 to
9 nodes keeps 0.83 to 1.20, each of 10 to 20 nodes 0.76 to 1.20. A node added to N nodes takes 0.84
to 1.12 of 1/(N+1). The bounds below leave a small margin.
"""

from collections import Counter
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddb.ring.ring import PARTITIONS, Ring, id_of, key_of, partition_in, partition_of

steady = settings(deadline=None)
STYLES = ("db-{}", "node{}.rack.example", "n{}")
SIZES = (3, 4, 5, 7, 9, 12, 16, 20)
node_names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=12)


@cache
def ring(style: str, size: int) -> Ring:
    return Ring(tuple(style.format(number) for number in range(size)))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("style", STYLES)
def test_copies_are_spread_evenly(style: str, size: int) -> None:
    """Each node has about its share of copies, of first-home roles and of standby roles."""
    cells = ring(style, size).cells
    assert len(cells) == PARTITIONS
    copies = Counter(name for cell in cells for name in cell.homes)
    low, high = (0.80, 1.25) if size <= 9 else (0.70, 1.30)
    shares = [copies[name] * size / (2 * PARTITIONS) for name in ring(style, size).names]
    assert low <= min(shares) <= max(shares) <= high
    for role in (
        Counter(cell.home for cell in cells),
        Counter(cell.standby for cell in cells),
    ):
        shares = [role[name] * size / PARTITIONS for name in ring(style, size).names]
        assert 0.5 <= min(shares) <= max(shares) <= 1.5


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("style", STYLES)
def test_added_node_takes_its_share_and_no_other_copy_moves(style: str, size: int) -> None:
    """A node added to N takes about 1/(N+1) of the copies; none moves between old nodes."""
    before, after = ring(style, size), ring(style, size + 1)
    (new,) = set(after.names) - set(before.names)
    moved = 0
    for old_cell, new_cell in zip(before.cells, after.cells, strict=True):
        gained = set(new_cell.homes) - set(old_cell.homes)
        assert gained <= {new}
        moved += len(gained)
        remaining = [name for name in new_cell.nodes if name != new]
        assert remaining == list(old_cell.nodes)[: len(remaining)]
    assert 0.75 <= moved * (size + 1) / (2 * PARTITIONS) <= 1.25


@settings(deadline=None, max_examples=30)
@given(st.lists(node_names, min_size=3, max_size=7, unique=True))
def test_every_cell_has_three_different_nodes(names: list[str]) -> None:
    """Each cell consists of three different nodes, with any node names."""
    for cell in Ring(tuple(names)).cells:
        assert len(set(cell.nodes)) == 3
        assert set(cell.nodes) <= set(names)
        assert cell.homes == (cell.home, cell.partner)


def test_placement_is_a_function_of_the_set_of_names() -> None:
    """The same names in another order give the same ring; other names give another ring."""
    names = ("c", "a", "b", "d")
    one, other = Ring(names), Ring(names[::-1])
    assert one.cells == other.cells
    assert one.digest == other.digest
    assert Ring(("a", "b", "c", "e")).digest != one.digest


def test_placement_never_changes() -> None:
    """Three and five nodes have the placement that existing data was stored under."""
    assert ring("db-{}", 3).digest.hex() == "c74e492c13d6fe99"
    assert ring("db-{}", 5).digest.hex() == "77f2fdc4df301764"
    assert key_of("alice") == bytes.fromhex("0032") + b"alice"


@pytest.mark.parametrize("names", [(), ("a", "b"), ("a", "b", "b"), ("a", "a", "a", "a")])
def test_fewer_than_three_distinct_nodes_are_refused(names: tuple[str, ...]) -> None:
    """The ring refuses fewer than three nodes, and equal names."""
    with pytest.raises(ValueError, match="at least 3 distinct names"):
        Ring(names)


@steady
@given(st.text(min_size=1, max_size=128))
def test_key_consists_of_partition_and_id(record_id: str) -> None:
    """A key yields the partition and the id from which it was made."""
    if not record_id.isascii():
        record_id = record_id.encode(errors="replace").decode()
    key = key_of(record_id)
    assert id_of(key) == record_id
    assert partition_in(key) == partition_of(record_id.encode()) < PARTITIONS
    placed = ring("db-{}", 5)
    assert placed.cell(key) is placed.cells[partition_in(key)]


def test_keys_spread_over_partitions() -> None:
    """No partition gets twice its share of 50,000 ids that count up."""
    ids = Counter(partition_of(f"user-{number}".encode()) for number in range(50_000))
    assert len(ids) == PARTITIONS
    assert max(ids.values()) < 2 * 50_000 / PARTITIONS


@steady
@given(st.lists(st.text("ab1~", min_size=1, max_size=6), unique=True))
def test_key_order_is_partition_then_id(ids: list[str]) -> None:
    """Keys sort by partition, then by id, which is the order of LIST."""
    keys = sorted(map(key_of, ids))
    for one, other in pairwise(keys):
        assert (partition_in(one), id_of(one)) < (partition_in(other), id_of(other))
