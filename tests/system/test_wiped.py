"""A node that has lost its disk."""

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
    """Through the loss of a disk every record is found; then the node has its copies again."""
    with Cluster(tmp_path, nodes) as cluster:
        homes = Homes(cluster)
        assert wait_for(homes.settled, 20)
        ids = [f"wiped-{number}" for number in range(RECORDS)]
        succeed(cluster, create(ids))
        gone, kept = ids[::10], sorted(set(ids) - set(ids[::10]), key=key_of)
        succeed(cluster, [Call("DELETE", PATH + each) for each in gone])
        old_id = homes.facts("db-1")["node_id"]
        cluster.do("kill", "db-1")
        # Some records have their second copy on a standby alone.
        succeed(cluster, [Call("PUT", PATH, {"id": each, "group": 9}) for each in kept])
        shutil.rmtree(cluster.data / "db-1")
        cluster.do("start", "db-1")

        looks = 0
        while not homes.settled() or not looks:
            looks += 1
            sample = kept[looks::7]
            for each, answer in zip(sample, read(cluster, sample), strict=True):
                assert (answer.status, answer.json) == (200, user(each, 9))
            assert {answer.status for answer in read(cluster, gone[:20])} == {404}
            assert get(cluster, f"{PATH}count").json == {"count": len(kept)}
            listed = get(cluster, f"{PATH}?limit=1000").json
            assert [row["id"] for row in listed] == kept[:1000]
            assert looks < 100

        assert homes.facts("db-1")["node_id"] != old_id
        assert homes.facts("db-1")["counters"]["refilled"] > 0
        assert homes.unequal() == set()
        assert homes.differing() == []
        # What it has been given must be good enough to stand in for the others.
        cluster.do("kill", "db-0")
        found = read(cluster, kept)
        assert [answer.json for answer in found] == [user(each, 9) for each in kept]


def test_hints_are_copies_that_a_wiped_node_is_given(tmp_path: Path) -> None:
    """What a lost disk and a hint held while the other home was out is never read stale."""
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
        looks = 0
        while not homes.settled() or not looks:
            looks += 1
            for answer in read(cluster, ids[looks % 5 :: 5]):
                assert (answer.status, answer.json["group"]) == (200, 9)
            assert looks < 100
        assert homes.unequal() == set()
