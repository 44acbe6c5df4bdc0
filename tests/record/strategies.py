"""Hypothesis strategies for dots, versions, operations and states."""

from hypothesis import strategies as st

from ddb.record.change import Outcome
from ddb.record.keyed_log import DIGEST_BYTES, FINGERPRINT_BYTES, SLICE_SPAN, appended
from ddb.record.state import OPERATION_BYTES, Entry, Operation, State
from ddb.record.version import MOST_DOTS, Dot, Version

NODES = 2**32 - 1
COUNTERS = 2**64 - 1


def dots(nodes: int = NODES, counters: int = COUNTERS) -> st.SearchStrategy[Dot]:
    """Return a strategy for dots of `nodes` coordinators."""
    return st.builds(Dot, st.integers(1, counters), st.integers(1, nodes))


def versions(nodes: int = NODES, counters: int = COUNTERS) -> st.SearchStrategy[Version]:
    """Return a strategy for versions of at most `MOST_DOTS` dots."""
    counters_by_node = st.dictionaries(
        st.integers(1, nodes), st.integers(1, counters), max_size=min(nodes, MOST_DOTS)
    )
    return counters_by_node.map(
        lambda counter_of: tuple(
            sorted((Dot(counter, node) for node, counter in counter_of.items()), reverse=True)
        )
    )


def operations() -> st.SearchStrategy[Operation]:
    """Return a strategy for operations, with and without an Idempotency-Key."""
    return st.builds(
        Operation,
        st.binary(min_size=OPERATION_BYTES, max_size=OPERATION_BYTES),
        st.just(b"") | st.binary(min_size=FINGERPRINT_BYTES, max_size=FINGERPRINT_BYTES),
    )


def logs() -> st.SearchStrategy[bytes]:
    """Return a strategy for logs of keyed operations with several slices."""
    named = st.tuples(
        st.binary(min_size=DIGEST_BYTES, max_size=DIGEST_BYTES),
        st.binary(min_size=FINGERPRINT_BYTES, max_size=FINGERPRINT_BYTES),
        st.sampled_from(Outcome),
        st.builds(Dot, st.integers(1, 3).map(lambda span: span * SLICE_SPAN), st.integers(1, 3)),
    )

    def log_of(operations: list[tuple[bytes, bytes, Outcome, Dot]]) -> bytes:
        log = b""
        for digest, fingerprint, outcome, ballot in operations:
            log = appended(log, digest, fingerprint, outcome, ballot)
        return log

    return st.lists(named, max_size=5).map(log_of)


def states() -> st.SearchStrategy[State]:
    """Return a strategy for states that a node may store."""
    gateways = operations().filter(lambda operation: not operation.fingerprint)
    return st.builds(
        State,
        versions().filter(bool),
        st.booleans(),
        st.binary(max_size=200),
        st.lists(st.builds(Entry, gateways, st.sampled_from(Outcome)), max_size=5).map(tuple),
        logs(),
    )


class Remembering:
    """A `Retention` that forgets nothing."""

    def forgettable(self, entry: Entry) -> bool:
        """See `Retention.forgettable`."""
        return False

    def saw(self, version: Version) -> None:
        """See `Retention.saw`."""

    def expired(self, ballot: Dot) -> bool:
        """See `Retention.expired`."""
        return False


REMEMBERING = Remembering()
