"""The records that scans of a key range settle."""

import pytest

from ddb.gateway.listing.quorum_scan import QuorumScan, Row
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
