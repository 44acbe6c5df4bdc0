"""Digest comparison against a loop over the partitions."""

from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from ddb.gateway.listing.digest_comparison import DigestComparison
from ddb.node.replica.partition_digests import ROW
from ddb.ring.ring import PARTITIONS, Ring
from ddb.wire.messages import Digests

RING = Ring(("db-0", "db-1", "db-2", "db-3"))


@dataclass(frozen=True)
class Node:
    """The digests of one node; those of all other partitions are zero."""

    table: dict[int, tuple[int, int]]
    damaged: frozenset[int]

    def reply(self) -> Digests:
        """Return the node's reply, with bytes of its own."""
        rows = [ROW.pack(*self.table.get(number, (0, 0))) for number in range(PARTITIONS)]
        return Digests(b"".join(rows), {}, tuple(self.damaged))


NUMBER = st.integers(0, PARTITIONS - 1)
DIGEST = st.tuples(
    st.integers(0, 3) | st.integers(0, 2**64 - 1), st.integers(0, 1) | st.just(2**64 - 1)
)
NODE = st.builds(
    Node, st.dictionaries(NUMBER, DIGEST, max_size=4), st.frozensets(NUMBER, max_size=3)
)
CLUSTER = st.dictionaries(st.sampled_from(RING.names), NODE)


@st.composite
def successions(draw: st.DrawFn) -> list[dict[str, Node]]:
    """Draw replies of several COUNTs; each has at most one difference from those before."""
    cluster = draw(CLUSTER)
    succession = [cluster]
    for _ in range(draw(st.integers(0, 4))):
        cluster = dict(cluster)
        name = draw(st.sampled_from(RING.names))
        node = cluster.pop(name, Node({}, frozenset()))
        change = draw(st.sampled_from(("none", "row", "damage", "absence")))
        if change == "row":
            node = replace(node, table=node.table | {draw(NUMBER): draw(DIGEST)})
        elif change == "damage":
            node = replace(node, damaged=node.damaged ^ {draw(NUMBER)})
        if change != "absence":
            cluster[name] = node
        succession.append(cluster)
    return succession


@settings(deadline=None)
@given(successions())
def test_comparison_equals_a_loop_over_the_partitions(succession: list[dict[str, Node]]) -> None:
    """Two homes agree if both replied, their digests are equal, and no node reports damage."""
    comparison = DigestComparison(RING)
    for nodes in succession:
        compared = comparison.compare({name: node.reply() for name, node in nodes.items()})
        for number, cell in enumerate(RING.cells):
            home, partner = (
                nodes[name].table.get(number, (0, 0)) if name in nodes else None
                for name in cell.homes
            )
            damaged = any(number in node.damaged for node in nodes.values())
            agree = home is not None and home == partner and not damaged
            assert (number not in compared.differ) == agree
            assert compared.of_home[number] == (home or (0, 0))[0]
            assert compared.of_partner[number] == (partner or (0, 0))[0]
