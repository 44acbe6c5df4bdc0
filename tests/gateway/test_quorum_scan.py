"""The records that scans of a key range settle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddb.gateway.listing.quorum_scan import QuorumScan, Row, agreed_rows
from ddb.record.codec import HEAD, encode
from ddb.record.state import State
from ddb.record.version import Dot
from ddb.ring.ring import Cell
from ddb.wire.messages import ScanPage

HOME, SECOND_HOME, STANDBY = "a", "b", "c"
CELLS = frozenset({(HOME, SECOND_HOME, STANDBY)})
CELL_OF = (Cell(HOME, SECOND_HOME, STANDBY),)
OLD, NEW, LATER = Dot(1, 1), Dot(2, 2), Dot(3, 3)
KEY = b"\x00\x00ada"

Reported = tuple[Dot, bool]
"""A state's newest dot, and whether the node calls it decided."""


def scan(hint_stamp: int = 0, **reported: Reported | None) -> dict[str, ScanPage]:
    """Make the replies of some nodes to one scan. `hint_stamp` is that of `ScanPage`."""
    return {
        name: page(
            *([] if state is None else [(KEY, state[0], True, b"%d" % state[0].counter, state[1])]),
            hint_stamp=hint_stamp,
        )
        for name, state in reported.items()
    }


def page(
    *rows: tuple[bytes, Dot, bool, bytes, bool], more: bool = False, hint_stamp: int = 0
) -> ScanPage:
    """Make one node's reply; each row: key, newest dot, whether live, body, whether decided."""
    return ScanPage(
        [key for key, _, _, _, _ in rows],
        [encode(State((dot,), live))[HEAD] for _, dot, live, _, _ in rows],
        [body for _, _, _, body, _ in rows],
        bytes(decided for _, _, _, _, decided in rows),
        more,
        hint_stamp,
    )


def quorum_scan(*scans_in_order: dict[str, ScanPage]) -> QuorumScan:
    """Add scans one after another."""
    scans = QuorumScan(CELLS, CELL_OF)
    for each in scans_in_order:
        scans.add(each)
    return scans


@pytest.mark.parametrize(
    ("scans", "complete"),
    [
        pytest.param([], False, id="none"),
        pytest.param([scan(a=None, b=None)], True, id="both homes"),
        pytest.param([scan(a=None, c=None)], False, id="a home and the standby at one time"),
        pytest.param([scan(a=None, c=None), scan(a=None, c=None)], True, id="the same again"),
        pytest.param([scan(c=None), scan(b=None)], True, id="the standby, then a home"),
        pytest.param([scan(a=None), scan(c=None)], False, id="a home, then the standby"),
        pytest.param([scan(a=None), scan(b=None)], True, id="one home, then the other"),
    ],
)
def test_scans_are_complete_once_no_decided_state_can_be_missing(
    scans: list[dict[str, ScanPage]], complete: bool
) -> None:
    """A home and the standby are enough only if the home replied in a later scan."""
    assert quorum_scan(*scans).complete() == complete


@pytest.mark.parametrize(
    ("scans", "body"),
    [
        pytest.param([scan(a=(NEW, False), b=(NEW, False))], b"2", id="on two"),
        pytest.param(
            [scan(a=(OLD, True), b=(OLD, True)), scan(a=(NEW, False), b=(NEW, False))],
            b"2",
            id="changed on two since",
        ),
        pytest.param([scan(a=(NEW, False), b=(OLD, True))], None, id="undecided"),
        pytest.param([scan(a=(NEW, True), b=(OLD, True))], None, id="no scan after the claim"),
        pytest.param(
            [scan(a=(NEW, True), b=(OLD, True)), scan(a=(NEW, True), b=(OLD, True))],
            b"2",
            id="a scan after the claim",
        ),
        pytest.param(
            [scan(a=(NEW, True), b=(OLD, True)), scan(a=(NEW, True), b=(LATER, False))],
            None,
            id="overtaken",
        ),
        pytest.param(
            [scan(a=(NEW, False), b=(OLD, True)), scan(a=(NEW, True), b=(OLD, True))],
            None,
            id="a claim in the second scan",
        ),
        pytest.param(
            [scan(a=(NEW, True), c=None), scan(1, a=(NEW, True), c=None)],
            None,
            id="a home and the standby in one scan after the claim",
        ),
        pytest.param(
            [
                scan(a=(NEW, True), c=None),
                scan(1, a=(NEW, True), c=None),
                scan(2, a=(NEW, True), c=None),
            ],
            b"2",
            id="a home after the standby after the claim",
        ),
        pytest.param(
            [scan(a=(NEW, True), c=None), scan(a=(NEW, True), c=None)],
            b"2",
            id="a home after the standby, which dropped no hint since",
        ),
        pytest.param(
            [scan(a=(NEW, True), c=None), scan(a=(NEW, True), c=(LATER, False))],
            None,
            id="the standby has a newer state since",
        ),
        pytest.param(
            [scan(a=(NEW, True)), scan(a=(NEW, True), c=None)],
            None,
            id="the standby was not asked before",
        ),
        pytest.param(
            [scan(a=(NEW, True), c=None), scan(c=None)],
            None,
            id="only the standby was asked again",
        ),
        pytest.param(
            [scan(a=(NEW, True), c=None), scan(c=None), scan(a=(LATER, True))],
            None,
            id="handed off in between",
        ),
    ],
)
def test_claim_counts_if_the_other_nodes_replied_later(
    scans: list[dict[str, ScanPage]], body: bytes | None
) -> None:
    """A node's claim settles a record only if later replies have no newer state."""
    rows, unsettled = quorum_scan(*scans).records()
    assert (rows, unsettled) == (([], [KEY]) if body is None else ([Row(KEY, body)], []))


def test_further_scans_settle_a_claim_that_one_node_makes() -> None:
    """Further scans settle no state without a claim or a body, and none after `end`."""
    assert quorum_scan(scan(a=(NEW, True), b=(OLD, True))).settles_more()
    assert not quorum_scan(scan(a=(NEW, False), b=(OLD, True))).settles_more()
    assert not quorum_scan(scan(a=(NEW, True), b=(NEW, True))).settles_more()
    short = page((b"\x00\x00aaa", OLD, False, b"", False), more=True)
    assert not quorum_scan({**scan(a=(NEW, True)), "b": short}).settles_more()
    bodiless = page((KEY, NEW, True, b"", True))
    assert not quorum_scan({**scan(b=(OLD, True)), "a": bodiless}).settles_more()


def test_scans_end_at_the_last_key_of_the_shortest_reply() -> None:
    """The scans settle no record after the last key of a reply that was cut off."""
    before, after = b"\x00\x00aaa", b"\x00\x00zzz"
    short = page((before, OLD, True, b"1", False), more=True)
    whole = page((before, OLD, True, b"", False), (after, OLD, False, b"", False))

    scans = quorum_scan({"a": short, "b": whole})

    assert scans.end == before
    assert scans.records() == ([Row(before, b"1")], [])


Copy = tuple[bytes, Dot, bool, bytes, bool]
"""A row of `page`."""
BEFORE, AFTER = b"\x00\x00aaa", b"\x00\x00zzz"
AGREED: tuple[Copy, ...] = (
    (BEFORE, OLD, True, b"1", False),
    (KEY, NEW, True, b"", False),
    (AFTER, LATER, False, b"", False),
)
SECOND: tuple[Copy, ...] = (
    (BEFORE, OLD, True, b"", False),
    (KEY, NEW, True, b"2", False),
    (AFTER, LATER, False, b"", False),
)


def test_rows_agree_where_two_nodes_have_each_in_one_state() -> None:
    """Equal states of two nodes are the records, up to the end, with either node's body."""
    rows = [Row(BEFORE, b"1"), Row(KEY, b"2"), Row(AFTER, None)]
    assert agreed_rows([page(*AGREED), page(*SECOND)], None) == rows
    assert agreed_rows([page(*AGREED), page(*SECOND[:2])], KEY) == rows[:2]
    mixed = [page(AGREED[0], AGREED[2]), page(*SECOND[1:]), page(SECOND[0], AGREED[1])]
    assert agreed_rows(mixed, None) == rows
    assert agreed_rows([page(), page()], None) == []


@pytest.mark.parametrize(
    "pages",
    [
        pytest.param([page(*AGREED), page(*SECOND[:2])], id="one node lacks a record"),
        pytest.param(
            [page(*AGREED), page((BEFORE, NEW, True, b"2", True), *SECOND[1:])], id="two states"
        ),
        pytest.param([page(*AGREED), page(*AGREED)], id="no body"),
        pytest.param([page(*AGREED), page(*SECOND), page(*SECOND)], id="three copies"),
        pytest.param([page(AGREED[0]), page(SECOND[1])], id="different records"),
    ],
)
def test_rows_do_not_agree_unless_all_do(pages: list[ScanPage]) -> None:
    """One record with another number of copies, two states or no body prevents agreement."""
    assert agreed_rows(pages, None) is None


@st.composite
def one_scan(draw: st.DrawFn) -> dict[str, ScanPage]:
    """Draw the replies to one scan: mostly equal copies on two of three nodes."""
    rows: dict[str, list[Copy]] = {HOME: [], SECOND_HOME: [], STANDBY: []}
    usual = st.sampled_from([(HOME, SECOND_HOME), (SECOND_HOME, STANDBY), (HOME, STANDBY)])
    unusual = st.lists(st.sampled_from(sorted(rows)), min_size=1, unique=True).map(tuple)
    odd = draw(st.booleans())
    for number in range(draw(st.integers(0, 6))):
        nodes = draw(usual | unusual if odd else usual)
        for node in nodes:
            dot = draw(st.sampled_from([OLD, NEW])) if odd else OLD
            sends = draw(st.booleans()) if odd else node == nodes[0]
            live = number % 3 > 0
            body = b"%d" % dot.counter if sends and live else b""
            rows[node].append((b"\x00\x00%d" % number, dot, live, body, draw(st.booleans())))
    pages = {}
    for node, copies in rows.items():
        cut = draw(st.integers(1, len(copies))) if odd and copies else len(copies)
        pages[node] = page(*copies[:cut], more=cut < len(copies))
    return pages


@given(one_scan())
def test_comparing_columns_settles_the_same_records(scan: dict[str, ScanPage]) -> None:
    """Columns that agree settle what single rows settle; after a second scan only rows count."""
    once, row_by_row = quorum_scan(scan), quorum_scan(scan, {})
    assert once.end == row_by_row.end
    if agreed_rows(scan.values(), once.end) is not None:
        assert not row_by_row.settles_more()
    assert once.settles_more() == row_by_row.settles_more()
    assert once.records() == row_by_row.records()


@given(one_scan(), one_scan())
def test_second_scan_counts_like_the_first(
    first: dict[str, ScanPage], second: dict[str, ScanPage]
) -> None:
    """It makes no difference whether records are read between two scans."""
    between = quorum_scan(first)
    between.settles_more()
    between.records()
    between.add(second)
    assert between.records() == quorum_scan(first, second).records()
