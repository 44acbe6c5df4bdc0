"""Digest comparison against a loop over the partitions."""

from hypothesis import given
from hypothesis import strategies as st

from ddb.gateway.listing.digest_comparison import DigestComparison
from ddb.node.replica.partition_digests import ROW
from ddb.ring.ring import PARTITIONS, Ring
from ddb.wire.messages import Digests

RING = Ring(("db-0", "db-1", "db-2", "db-3"))
COMPARISON = DigestComparison(RING)
DIGEST = st.tuples(st.integers(0, 3), st.integers(0, 1))
TABLE = st.dictionaries(st.integers(0, PARTITIONS - 1), DIGEST, max_size=4)
REPLIES = st.dictionaries(
    st.sampled_from(RING.names),
    st.tuples(TABLE, st.frozensets(st.integers(0, PARTITIONS - 1), max_size=3)),
)


@given(REPLIES)
def test_comparison_equals_a_loop_over_the_partitions(
    drawn: dict[str, tuple[dict[int, tuple[int, int]], frozenset[int]]],
) -> None:
    """Two homes agree if both replied, their digests are equal, and no node reports damage."""
    replies = {
        name: Digests(
            b"".join(ROW.pack(*table.get(number, (0, 0))) for number in range(PARTITIONS)),
            {},
            tuple(damaged),
        )
        for name, (table, damaged) in drawn.items()
    }
    compared = COMPARISON.compare(replies)
    for number, cell in enumerate(RING.cells):
        home, partner = (
            drawn[name][0].get(number, (0, 0)) if name in drawn else None for name in cell.homes
        )
        damaged = any(number in of_node for _, of_node in drawn.values())
        agree = home is not None and home == partner and not damaged
        assert (number not in compared.differ) == agree
        assert compared.of_home[number] == (home or (0, 0))[0]
        assert compared.of_partner[number] == (partner or (0, 0))[0]
