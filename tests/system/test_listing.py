"""LIST and COUNT are exact while any one node is down or has just returned."""

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
CHECKS = 4
"""Checks that must end while hints still exist."""


class Expected:
    """The ids of existing records, across the tests of this module."""

    def __init__(self, cluster: Cluster) -> None:
        self.live: set[str] = set()
        self._cluster = cluster
        self._made = 0

    def change(self, count: int) -> None:
        """Create `count` records, update some older ones, and delete some of both."""
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
    """The existing records, and a way to change them."""
    made = Expected(trio)
    made.change(SOME)
    return made


def pages(cluster: Cluster, limit: int, by: str) -> list[str]:
    """Return the ids of all pages, by "cursor" or by "offset"."""
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


def check_exact(cluster: Cluster, live: set[str]) -> None:
    """Check that COUNT and both kinds of LIST have each record of `live` once, in order."""
    ordered = sorted(live, key=key_of)
    assert get(cluster, f"{PATH}count").json == {"count": len(live)}
    assert pages(cluster, 1000, "cursor") == ordered
    assert pages(cluster, 397, "offset") == ordered


def test_exact_with_all_nodes_up(whole: Cluster, expected: Expected) -> None:
    """With all nodes up LIST and COUNT are exact, and pages of any size agree."""
    check_exact(whole, expected.live)
    assert pages(whole, 7, "cursor") == pages(whole, 500, "offset")


@pytest.mark.parametrize("name", ["db-0", "db-1", "db-2"])
@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_exact_with_one_node_down(
    whole: Cluster, expected: Expected, name: str, fault: str
) -> None:
    """With any node killed or paused, LIST and COUNT are exact, before and after more writes."""
    whole.do(fault, name)
    check_exact(whole, expected.live)
    expected.change(60)
    check_exact(whole, expected.live)


@pytest.mark.alone
def test_exact_before_handoff_has_finished(
    whole: Cluster, homes: Homes, expected: Expected
) -> None:
    """LIST and COUNT are exact during the handoff of thousands of hints."""
    checks = 0
    while checks < CHECKS:
        whole.do("kill", "db-1")
        expected.change(MANY)
        whole.do("start", "db-1")
        assert wait_for(lambda: whole.request("GET", "/readyz")[0] == 200, 10)
        assert homes.hints() > MANY / 4
        # Each check is short: the machine decides how many fit into one handoff.
        ordered = sorted(expected.live, key=key_of)
        for start in itertools.cycle(range(0, len(ordered), 1000)):
            assert get(whole, f"{PATH}count").json == {"count": len(ordered)}
            rows = get(whole, f"{PATH}?limit=1000&offset={start}").json
            assert [row["id"] for row in rows] == ordered[start : start + 1000]
            if not homes.hints():
                break
            checks += 1
        check_exact(whole, expected.live)


def test_listed_states_are_on_two_nodes(whole: Cluster, homes: Homes, expected: Expected) -> None:
    """LIST decides the state that an interrupted coordinator left on one home."""
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

    # The standby has a hint of the state where a home was slow to reply.
    assert wait_for(homes.settled, 20)
    first, second = homes.states(key)
    assert first == second
    assert [row["group"] for row in rows if key_of(row["id"]) == key] == [77]
    check_exact(whole, expected.live)


@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_exact_with_another_down_before_handoff(
    whole: Cluster, homes: Homes, expected: Expected, fault: str
) -> None:
    """LIST and COUNT are exact when a standby stops before it hands off to a returned node."""
    whole.do("kill", "db-1")
    # Few, since COUNT compares these homes by record and has 250 ms.
    expected.change(FEW)
    whole.do(fault, "db-2")
    whole.do("start", "db-1")
    for _ in range(3):
        check_exact(whole, expected.live)
