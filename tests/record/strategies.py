"""Any dot, version, operation and state, for properties."""

from hypothesis import strategies as st

from ddb.record.change import Outcome
from ddb.record.state import FINGERPRINT_BYTES, OPERATION_BYTES, Entry, Operation, State
from ddb.record.version import MOST_DOTS, Dot, Version

NODES = 2**32 - 1
COUNTERS = 2**64 - 1


def dots(nodes: int = NODES, counters: int = COUNTERS) -> st.SearchStrategy[Dot]:
    """A dot of one of `nodes` coordinators."""
    return st.builds(Dot, st.integers(1, counters), st.integers(1, nodes))


def versions(nodes: int = NODES, counters: int = COUNTERS) -> st.SearchStrategy[Version]:
    """A version vector: one dot per node, newest first, at most `MOST_DOTS`."""
    seen = st.dictionaries(
        st.integers(1, nodes), st.integers(1, counters), max_size=min(nodes, MOST_DOTS)
    )
    return seen.map(
        lambda counter_of: tuple(
            sorted((Dot(counter, node) for node, counter in counter_of.items()), reverse=True)
        )
    )


def operations() -> st.SearchStrategy[Operation]:
    """A gateway's operation or one that a client named."""
    return st.builds(
        Operation,
        st.binary(min_size=OPERATION_BYTES, max_size=OPERATION_BYTES),
        st.just(b"") | st.binary(min_size=FINGERPRINT_BYTES, max_size=FINGERPRINT_BYTES),
    )


def states() -> st.SearchStrategy[State]:
    """Any state that a node may hold of a record it has seen."""
    return st.builds(
        State,
        versions().filter(bool),
        st.booleans(),
        st.binary(max_size=200),
        st.lists(st.builds(Entry, operations(), st.sampled_from(Outcome)), max_size=5).map(tuple),
    )
