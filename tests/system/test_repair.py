"""Read repair after an outage or an interrupted coordinator."""

import itertools

import pytest

from ddb.record.version import Order, compare
from ddb.ring.ring import key_of
from tests.cluster import Cluster, wait_for
from tests.system.batch import user
from tests.system.branch import branch
from tests.system.homes import Homes

A_CELL = ("db-0", "db-1", "db-2")
_NUMBERS = itertools.count()


@pytest.fixture
def record_id(homes: Homes, whole: Cluster) -> str:
    """The id of a record on both homes, while all nodes are up."""
    record_id = homes.ids(A_CELL, 1, f"repair{next(_NUMBERS)}")[0]
    assert whole.request("POST", "/api/users/", user(record_id, 1))[0] == 201
    return record_id


@pytest.mark.parametrize("stale", [0, 1], ids=["first home", "second home"])
def test_one_read_repairs_a_stale_home(
    whole: Cluster, homes: Homes, record_id: str, stale: int
) -> None:
    """One read through the gateway brings a missed update to a stale home."""
    key = key_of(record_id)
    name, standby = A_CELL[stale], A_CELL[2]
    bystander = homes.ids(A_CELL, 1, f"bystander{stale}-")[0]
    assert whole.request("POST", "/api/users/", user(bystander))[0] == 201
    whole.do("kill", name)
    updated = user(record_id, 2)
    assert whole.request("PUT", "/api/users/", {"id": record_id, "group": 2}) == (200, updated)
    # The standby is down too, so no node can hand the update off.
    whole.do("kill", standby)
    whole.do("start", name)
    other = A_CELL[1 - stale]
    assert wait_for(lambda: answers_at_once(whole, bystander), 10)
    assert homes.state(name, key).version != homes.state(other, key).version
    before = sum(homes.facts(each)["counters"]["stale_repairs"] for each in A_CELL[:2])

    assert whole.request("GET", f"/api/users/{record_id}") == (200, updated)

    # The answer precedes the repair: two of the cell's three nodes store the update already.
    assert wait_for(lambda: len(set(homes.states(key))) == 1, 5)
    assert homes.state(name, key).version == homes.state(other, key).version
    after = sum(homes.facts(each)["counters"]["stale_repairs"] for each in A_CELL[:2])
    assert after == before + 1


def test_one_read_settles_concurrent_versions(whole: Cluster, homes: Homes, record_id: str) -> None:
    """One read of two concurrent states leaves one of them, on both homes."""
    key = key_of(record_id)
    older = branch(homes, A_CELL[0], key, 1, 21)
    newer = branch(homes, A_CELL[1], key, 2, 22)
    assert compare(older.version, newer.version) is Order.CONCURRENT
    before = homes.counter("concurrent_repairs")

    status, body = whole.request("GET", f"/api/users/{record_id}")

    # The standby has a hint of the state where a home was slow to reply.
    assert wait_for(homes.settled, 20)
    first, second = homes.states(key)
    assert first == second
    assert (status, body) in ((200, user(record_id, 21)), (200, user(record_id, 22)))
    assert homes.counter("concurrent_repairs") == before + 1
    assert whole.request("GET", f"/api/users/{record_id}") == (200, body)


def test_one_write_settles_concurrent_versions(
    whole: Cluster, homes: Homes, record_id: str
) -> None:
    """An update of two concurrent states supersedes both, on both homes."""
    key = key_of(record_id)
    older = branch(homes, A_CELL[1], key, 1, 31)
    newer = branch(homes, A_CELL[0], key, 2, 32)
    assert compare(older.version, newer.version) is Order.CONCURRENT
    before = homes.counter("concurrent_repairs")

    status, body = whole.request("PUT", "/api/users/", {"id": record_id, "name": "Settled"})

    assert status == 200
    assert isinstance(body, dict)
    assert body["name"] == "Settled"
    assert body["group"] in (31, 32)
    # The standby has a hint of the state where a home was slow to reply.
    assert wait_for(homes.settled, 20)
    first, second = homes.states(key)
    assert first == second
    assert compare(first.version, older.version) is Order.AHEAD
    assert compare(first.version, newer.version) is Order.AHEAD
    assert homes.counter("concurrent_repairs") == before + 1


def test_status_shows_the_repairs(whole: Cluster, homes: Homes) -> None:
    """`ddb status --json` has both repair counters of every node."""
    nodes = whole.status()["nodes"]
    assert isinstance(nodes, list)
    for node in nodes:
        assert {"stale_repairs", "concurrent_repairs"} <= set(node["counters"])


def answers_at_once(cluster: Cluster, record_id: str) -> bool:
    """Whether the gateway gets an answer for a record from the first node that it asks."""
    before = retries(cluster)
    return cluster.request("GET", f"/api/users/{record_id}")[0] == 200 and (
        retries(cluster) == before
    )


def retries(cluster: Cluster) -> int:
    """Return the number of the gateway's retries."""
    status, view = cluster.request("GET", "/statusz")
    assert status == 200
    assert isinstance(view, dict)
    return int(view["counters"]["retries"])
