"""A node whose disk is lost refills from its peers."""

import shutil
from pathlib import Path

import pytest

from ddb.ring.ring import key_of
from tests.cluster import Cluster, wait_for
from tests.system.batch import PATH, Call, create, get, read, succeed, user
from tests.system.homes import Homes

RECORDS = 1500


@pytest.mark.parametrize("nodes", [3, 5])
def test_a_wiped_node_refills_and_nothing_is_missed(tmp_path: Path, nodes: int) -> None:
    """Reads find every record during a refill, and afterwards the copies agree."""
    with Cluster(tmp_path, nodes) as cluster:
        homes = Homes(cluster)
        assert wait_for(homes.settled, 20)
        ids = [f"wiped-{number}" for number in range(RECORDS)]
        succeed(cluster, create(ids))
        gone, kept = ids[::10], sorted(set(ids) - set(ids[::10]), key=key_of)
        succeed(cluster, [Call("DELETE", PATH + each) for each in gone])
        old_id = homes.facts("db-1")["node_id"]
        cluster.do("kill", "db-1")
        # Some records have their second copy only on a standby.
        succeed(cluster, [Call("PUT", PATH, {"id": each, "group": 9}) for each in kept])
        shutil.rmtree(cluster.data / "db-1")
        cluster.do("start", "db-1")

        rounds = 0
        while not homes.settled() or not rounds:
            rounds += 1
            sample = kept[rounds::7]
            for each, answer in zip(sample, read(cluster, sample), strict=True):
                assert (answer.status, answer.json) == (200, user(each, 9))
            assert {answer.status for answer in read(cluster, gone[:20])} == {404}
            assert get(cluster, f"{PATH}count").json == {"count": len(kept)}
            listed = get(cluster, f"{PATH}?limit=1000").json
            assert [row["id"] for row in listed] == kept[:1000]
            assert rounds < 100

        assert homes.facts("db-1")["node_id"] != old_id
        assert homes.facts("db-1")["counters"]["refilled"] > 0
        assert homes.unequal() == set()
        assert homes.differing() == []
        # The refilled copies must suffice while another node is down.
        cluster.do("kill", "db-0")
        found = read(cluster, kept)
        assert [answer.json for answer in found] == [user(each, 9) for each in kept]


def test_a_wiped_node_refills_from_hints(tmp_path: Path) -> None:
    """No read is stale where the other copy of a record on the lost disk is a hint."""
    with Cluster(tmp_path) as cluster:
        homes = Homes(cluster)
        assert wait_for(homes.settled, 20)
        ids = [f"hint-{number}" for number in range(RECORDS)]
        succeed(cluster, create(ids))
        cluster.do("kill", "db-0")
        succeed(cluster, [Call("PUT", PATH, {"id": each, "group": 9}) for each in ids])
        cluster.do("kill", "db-1")
        shutil.rmtree(cluster.data / "db-1")
        cluster.do("start", "db-1")
        cluster.do("start", "db-0")
        rounds = 0
        while not homes.settled() or not rounds:
            rounds += 1
            for answer in read(cluster, ids[rounds % 5 :: 5]):
                assert (answer.status, answer.json["group"]) == (200, 9)
            assert rounds < 100
        assert homes.unequal() == set()
