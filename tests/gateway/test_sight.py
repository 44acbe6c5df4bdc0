"""What looks at a stretch settle, and what they leave to be read by itself."""

import pytest

from ddb.gateway.listing.quorum_scan import QuorumScan, Row
from ddb.record.codec import HEAD, encode
from ddb.record.state import State
from ddb.record.version import Dot
from ddb.ring.ring import Cell
from ddb.wire.messages import ScanPage

HOME, PARTNER, STANDBY = "a", "b", "c"
CELLS = frozenset({(HOME, PARTNER, STANDBY)})
CELL_OF = (Cell(HOME, PARTNER, STANDBY),)
OLD, NEW, LATER = Dot(1, 1), Dot(2, 2), Dot(3, 3)
KEY = b"\x00\x00ada"

Held = tuple[Dot, bool]
"""A state's newest dot, and whether the node takes it for decided."""


def look(hint_stamp: int = 0, **held: Held | None) -> dict[str, ScanPage]:
    """What the nodes answered to one question, each with a body; `hint_stamp` as in `ScanPage`."""
    return {
        name: told(
            *([] if state is None else [(KEY, state[0], True, b"%d" % state[0].counter, state[1])]),
            hint_stamp=hint_stamp,
        )
        for name, state in held.items()
    }


def told(
    *rows: tuple[bytes, Dot, bool, bytes, bool], more: bool = False, hint_stamp: int = 0
) -> ScanPage:
    """What one node answered, of each row: key, newest dot, alive, body, known to be decided."""
    return ScanPage(
        [key for key, _, _, _, _ in rows],
        [encode(State((dot,), live))[HEAD] for _, dot, live, _, _ in rows],
        [body for _, _, _, body, _ in rows],
        bytes(decided for _, _, _, _, decided in rows),
        more,
        hint_stamp,
    )


def sight_of(*looks: dict[str, ScanPage]) -> QuorumScan:
    """Some looks, one after the other."""
    sight = QuorumScan(CELLS, CELL_OF)
    for each in looks:
        sight.add(each)
    return sight


@pytest.mark.parametrize(
    ("looks", "complete"),
    [
        pytest.param([], False, id="none"),
        pytest.param([look(a=None, b=None)], True, id="both homes"),
        pytest.param([look(a=None, c=None)], False, id="a home and the standby at one time"),
        pytest.param([look(a=None, c=None), look(a=None, c=None)], True, id="the same again"),
        pytest.param([look(c=None), look(b=None)], True, id="the standby, then a home"),
        pytest.param([look(a=None), look(c=None)], False, id="a home, then the standby"),
        pytest.param([look(a=None), look(b=None)], True, id="one home, then the other"),
    ],
)
def test_sight_is_complete_once_no_decided_state_can_be_missing(
    looks: list[dict[str, ScanPage]], complete: bool
) -> None:
    """A standby's word needs a home's after it: what it lets go of in between went there."""
    assert sight_of(*looks).complete() == complete


@pytest.mark.parametrize(
    ("looks", "body"),
    [
        pytest.param([look(a=(NEW, False), b=(NEW, False))], b"2", id="on two"),
        pytest.param([look(a=(NEW, False), b=(OLD, True))], None, id="undecided"),
        pytest.param([look(a=(NEW, True), b=(OLD, True))], None, id="no look since the word"),
        pytest.param(
            [look(a=(NEW, True), b=(OLD, True)), look(a=(NEW, True), b=(OLD, True))],
            b"2",
            id="a look since the word",
        ),
        pytest.param(
            [look(a=(NEW, True), b=(OLD, True)), look(a=(NEW, True), b=(LATER, False))],
            None,
            id="overtaken",
        ),
        pytest.param(
            [look(a=(NEW, False), b=(OLD, True)), look(a=(NEW, True), b=(OLD, True))],
            None,
            id="a word in the second look",
        ),
        pytest.param(
            [look(a=(NEW, True), c=None), look(1, a=(NEW, True), c=None)],
            None,
            id="a home and the standby at one time since the word",
        ),
        pytest.param(
            [
                look(a=(NEW, True), c=None),
                look(1, a=(NEW, True), c=None),
                look(2, a=(NEW, True), c=None),
            ],
            b"2",
            id="a home after the standby since the word",
        ),
        pytest.param(
            [look(a=(NEW, True), c=None), look(a=(NEW, True), c=None)],
            b"2",
            id="a home after the standby, that has let go of nothing since",
        ),
        pytest.param(
            [look(a=(NEW, True), c=None), look(a=(NEW, True), c=(LATER, False))],
            None,
            id="the standby knows better since",
        ),
        pytest.param(
            [look(a=(NEW, True)), look(a=(NEW, True), c=None)],
            None,
            id="the standby was not asked before",
        ),
        pytest.param(
            [look(a=(NEW, True), c=None), look(c=None)],
            None,
            id="only the standby was asked again",
        ),
        pytest.param(
            [look(a=(NEW, True), c=None), look(c=None), look(a=(LATER, True))],
            None,
            id="given home in between",
        ),
    ],
)
def test_word_of_a_decision_counts_where_the_other_nodes_were_seen_after_it(
    looks: list[dict[str, ScanPage]], body: bytes | None
) -> None:
    """What a node takes for decided may have been overtaken, of which the other two know."""
    rows, unsettled = sight_of(*looks).records()
    assert (rows, unsettled) == (([], [KEY]) if body is None else ([Row(KEY, body)], []))


def test_further_looks_are_worth_it_where_one_node_knows_what_the_others_do_not_hold() -> None:
    """Neither for an undecided state, nor beyond what every node has told, nor without a body."""
    assert sight_of(look(a=(NEW, True), b=(OLD, True))).hopeful()
    assert not sight_of(look(a=(NEW, False), b=(OLD, True))).hopeful()
    assert not sight_of(look(a=(NEW, True), b=(NEW, True))).hopeful()
    short = told((b"\x00\x00aaa", OLD, False, b"", False), more=True)
    assert not sight_of({**look(a=(NEW, True)), "b": short}).hopeful()
    bodiless = told((KEY, NEW, True, b"", True))
    assert not sight_of({**look(b=(OLD, True)), "a": bodiless}).hopeful()


def test_sight_ends_where_the_first_node_stopped_telling() -> None:
    """A record after the last that some node told of may be missing from that node's rows."""
    before, after = b"\x00\x00aaa", b"\x00\x00zzz"
    short = told((before, OLD, True, b"1", False), more=True)
    whole = told((before, OLD, True, b"", False), (after, OLD, False, b"", False))

    sight = sight_of({"a": short, "b": whole})

    assert sight.end == before
    assert sight.records() == ([Row(before, b"1")], [])
