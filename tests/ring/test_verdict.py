"""The verdict on a cluster."""

from itertools import combinations

import pytest

from ddb.ring.ring import Ring
from ddb.ring.verdict import Judge

NAMES = tuple(f"db-{number}" for number in range(7))


def judged(total: int, down: tuple[str, ...] = (), suspect: tuple[str, ...] = ()) -> str:
    """Return the sentence about a cluster of `total` nodes."""
    names = NAMES[:total]
    connected = set(names) - set(down)
    return Judge(Ring(names)).verdict(connected - set(suspect), connected).sentence


def test_sentences_of_three_nodes() -> None:
    """The sentence says what works, names each failed node, and says what that means."""
    assert judged(3) == "READY: all 3 nodes decide; one more may fail"
    assert judged(3, down=("db-1",)) == (
        "READY: 2 of 3 nodes decide (db-1 is down); after one more failure requests may be refused"
    )
    assert judged(3, down=("db-0", "db-1")) == (
        "NOT READY: 1 of 3 nodes decides (db-0 is down, db-1 is down); all reads and writes are"
        " refused, and acknowledged writes are kept"
    )


def test_suspect_node_may_still_reply() -> None:
    """Requests that a suspect node may still decide are not called refused."""
    assert judged(3, down=("db-0",), suspect=("db-2",)) == (
        "NOT READY: 1 of 3 nodes decides (db-0 is down, db-2 is suspect); all reads and writes may"
        " be refused, and acknowledged writes are kept"
    )


def test_two_of_seven_nodes_down() -> None:
    """Where only some cells lack a quorum, the sentence has their share of the records."""
    ring = Ring(NAMES)
    lost = sum(len({"db-0", "db-1"} & set(cell.nodes)) == 2 for cell in ring.cells)
    assert 0 < lost < len(ring.cells)
    share = f"{lost / len(ring.cells):.0%}"
    assert f"reads and writes of {share} of the records are refused" in judged(
        7, down=("db-0", "db-1")
    )


@pytest.mark.parametrize("total", [3, 4, 7])
def test_verdict_agrees_with_the_cells(total: int) -> None:
    """The verdict is exact for every set of failed nodes.

    Ready: each cell has two nodes. Tolerated: after any further failure that holds again.
    """
    names = NAMES[:total]
    ring = Ring(names)
    cells = {frozenset(cell.nodes) for cell in ring.cells}
    judge = Judge(ring)

    def decides(alive: set[str]) -> bool:
        return all(len(cell & alive) >= 2 for cell in cells)

    for failures in range(total + 1):
        for failed in combinations(names, failures):
            alive = set(names) - set(failed)
            verdict = judge.verdict(alive, alive)
            assert verdict.ready is decides(alive)
            assert verdict.sentence.startswith("READY: " if verdict.ready else "NOT READY: ")
            survives = verdict.ready and all(decides(alive - {name}) for name in alive)
            assert (verdict.tolerates > 0) is survives
            assert ("one more may fail" in verdict.sentence) is survives
