"""LIST and COUNT say exactly what is there, whatever is out or has just come back."""

import itertools

import pytest

from ddb.ring.ring import key_of
from tests.cluster import Cluster, wait_for
from tests.system.batch import PATH, Call, create, get, succeed, user
from tests.system.branch import branch
from tests.system.homes import Homes

SOME = 600
MANY = 3000
FEW = 150
LOOKS = 4
"""Looks that found hints still waiting afterwards."""


class Expected:
    """The ids that live, across the tests of this module."""

    def __init__(self, cluster: Cluster) -> None:
        self.live: set[str] = set()
        self._cluster = cluster
        self._made = 0

    def change(self, count: int) -> None:
        """Create `count` records; update some older ones and delete some of either."""
        older = sorted(self.live)[: count // 4]
        made = [f"list-{number}" for number in range(self._made, self._made + count)]
        self._made += count
        gone = [*older[::3], *made[::5]]
        succeed(self._cluster, create(made))
        succeed(
            self._cluster,
            (Call("PUT", PATH, {"id": each, "group": self._made}) for each in older),
        )
        succeed(self._cluster, [Call("DELETE", PATH + each) for each in gone])
        self.live |= set(made)
        self.live -= set(gone)


@pytest.fixture(scope="module")
def expected(trio: Cluster) -> Expected:
    """What lives, and a way to change it."""
    made = Expected(trio)
    made.change(SOME)
    return made


def pages(cluster: Cluster, limit: int, by: str) -> list[str]:
    """The ids of all pages, by "cursor" or by "offset"."""
    found: list[str] = []
    path = f"{PATH}?limit={limit}"
    while path:
        answer = get(cluster, path)
        rows = answer.json
        assert all(row == user(row["id"], row["group"]) for row in rows)
        found += [row["id"] for row in rows]
        if by == "cursor":
            path = answer.headers.get(b"link", b"").decode()[1:].partition(">")[0]
        else:
            path = f"{PATH}?limit={limit}&offset={len(found)}" if rows else ""
    return found


def exact(cluster: Cluster, live: set[str]) -> None:
    """COUNT, and LIST both ways, say what is live: all of it, in order, and nothing twice."""
    ordered = sorted(live, key=key_of)
    assert get(cluster, f"{PATH}count").json == {"count": len(live)}
    assert pages(cluster, 1000, "cursor") == ordered
    assert pages(cluster, 397, "offset") == ordered


def test_exact_with_all_nodes_up(whole: Cluster, expected: Expected) -> None:
    """With all nodes up LIST and COUNT are exact, and pages of any size agree."""
    exact(whole, expected.live)
    assert pages(whole, 7, "cursor") == pages(whole, 500, "offset")


@pytest.mark.parametrize("name", ["db-0", "db-1", "db-2"])
@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_exact_with_one_node_out(whole: Cluster, expected: Expected, name: str, fault: str) -> None:
    """With any node killed or paused they are exact, before and after writes that it misses."""
    whole.do(fault, name)
    exact(whole, expected.live)
    expected.change(60)
    exact(whole, expected.live)


def test_exact_before_handoff_has_finished(
    whole: Cluster, homes: Homes, expected: Expected
) -> None:
    """Right after a node's return, while thousands of hints wait for it, they are exact."""
    looks = 0
    while looks < LOOKS:
        whole.do("kill", "db-1")
        expected.change(MANY)
        whole.do("start", "db-1")
        assert wait_for(lambda: whole.request("GET", "/readyz")[0] == 200, 10)
        assert homes.hints() > MANY / 4
        # How many looks fit into one hand-off depends on the machine, so each one is short.
        ordered = sorted(expected.live, key=key_of)
        for start in itertools.cycle(range(0, len(ordered), 1000)):
            assert get(whole, f"{PATH}count").json == {"count": len(ordered)}
            rows = get(whole, f"{PATH}?limit=1000&offset={start}").json
            assert [row["id"] for row in rows] == ordered[start : start + 1000]
            if not homes.hints():
                break
            looks += 1
        exact(whole, expected.live)


def test_what_a_listing_shows_two_nodes_hold(
    whole: Cluster, homes: Homes, expected: Expected
) -> None:
    """A state that an interrupted coordinator left on one home is settled before it is shown."""
    name = homes.ring.names[0]
    key = next(key_of(each) for each in expected.live if homes.ring.cell(key_of(each)).home == name)
    left = branch(homes, name, key, 1, 77)
    first, second = homes.states(key)
    assert first == left != second

    rows = [
        row
        for start in range(0, len(expected.live), 1000)
        for row in get(whole, f"{PATH}?limit=1000&offset={start}").json
    ]

    first, second = homes.states(key)
    assert first == second
    assert [row["group"] for row in rows if key_of(row["id"]) == key] == [77]
    exact(whole, expected.live)


@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_exact_with_another_out_before_handoff(
    whole: Cluster, homes: Homes, expected: Expected, fault: str
) -> None:
    """When a holder of its hints goes out as a node returns, they are exact all the same."""
    whole.do("kill", "db-1")
    # Few: the homes of those are compared record by record, and each answer has 250 ms for that.
    expected.change(FEW)
    whole.do(fault, "db-2")
    whole.do("start", "db-1")
    for _ in range(3):
        exact(whole, expected.live)
