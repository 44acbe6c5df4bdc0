"""A node whose data directory is replaced by an older copy."""

import hashlib
import shutil
from functools import partial
from pathlib import Path

import pytest

from tests.cluster import Cluster, wait_for
from tests.system.batch import PATH, Call, create, read, succeed, user
from tests.system.homes import Homes

RECORDS = 60
NAME = "db-1"


@pytest.fixture
def ids(whole: Cluster, request: pytest.FixtureRequest) -> list[str]:
    """The ids of new records, on all nodes."""
    stem = hashlib.sha256(request.node.name.encode()).hexdigest()[:8]
    made = [f"image-{stem}-{number}" for number in range(RECORDS)]
    succeed(whole, create(made))
    return made


def take(cluster: Cluster, image: Path, ends: str) -> None:
    """Stop the node, copy its data directory and start it again."""
    cluster.do(ends, NAME)
    shutil.copytree(cluster.data / NAME, image)
    cluster.do("start", NAME)


def put_back(cluster: Cluster, image: Path, ends: str) -> None:
    """Stop the node, replace its data directory by the image and start it."""
    cluster.do(ends, NAME)
    shutil.rmtree(cluster.data / NAME)
    shutil.copytree(image, cluster.data / NAME)
    cluster.do("start", NAME)


def all_are(cluster: Cluster, ids: list[str], group: int) -> bool:
    answers = read(cluster, ids)
    return [answer.json for answer in answers] == [user(each, group) for each in ids]


def fact(homes: Homes, name: str) -> object:
    """Return a field of the node's status, None while it starts again."""
    try:
        return homes.facts(NAME)[name]
    except OSError:
        return None


def renewed(homes: Homes, before: object) -> bool:
    return fact(homes, "node_id") not in (None, before)


def update(cluster: Cluster, ids: list[str], group: int) -> None:
    succeed(cluster, [Call("PUT", PATH, {"id": each, "group": group}) for each in ids])


@pytest.mark.parametrize(
    ("ends", "boots", "times"),
    [("stop", 1, 1), ("kill", 1, 2), ("kill", 3, 1)],
    ids=["stopped", "killed, and put back twice", "older than several boots"],
)
def test_an_old_image_has_no_vote_and_is_refilled(
    whole: Cluster,
    homes: Homes,
    ids: list[str],
    tmp_path: Path,
    ends: str,
    boots: int,
    times: int,
) -> None:
    """Reads find every acknowledged change, and the node refills under a new node id."""
    image = tmp_path / "image"
    take(whole, image, ends)
    for _ in range(boots - 1):
        whole.do(ends, NAME)
        whole.do("start", NAME)
    assert wait_for(homes.settled, 20)
    for group in range(2, 2 + times):
        update(whole, ids, group)
        before = homes.facts(NAME)["node_id"]
        put_back(whole, image, ends)
        assert all_are(whole, ids, group)
        assert wait_for(partial(renewed, homes, before), 20)
        assert wait_for(homes.settled, 20)
    whole.do("kill", "db-0")
    assert all_are(whole, ids, 1 + times)
    log = (whole.data / f"{NAME}.log").read_text(encoding="utf-8")
    assert "is of an earlier time" in log
    assert "refills from the others" in log


def test_an_old_image_waits_while_another_node_is_down(
    whole: Cluster, homes: Homes, ids: list[str], tmp_path: Path
) -> None:
    """An outdated node keeps its rows and does not vote until all others are up."""
    image = tmp_path / "image"
    take(whole, image, "stop")
    assert wait_for(homes.settled, 20)
    update(whole, ids, 2)
    whole.do("kill", "db-0")
    put_back(whole, image, "kill")
    assert wait_for(lambda: fact(homes, "stage") == "outdated", 20)
    assert homes.facts(NAME)["state"] == "joining"
    assert homes.facts(NAME)["records"] > 0
    # Each cell has one voting node, so each GET gets a 503.
    assert {whole.request("GET", PATH + each)[0] for each in ids[:4]} == {503}
    whole.do("start", "db-0")
    assert wait_for(homes.settled, 20)
    assert all_are(whole, ids, 2)


def test_a_cluster_restored_from_images_of_one_moment_starts(
    whole: Cluster, homes: Homes, ids: list[str], tmp_path: Path
) -> None:
    """Directories restored together serve their records, even with one node down."""
    whole.stop()
    for name in homes.ring.names:
        shutil.copytree(whole.data / name, tmp_path / name)
    whole.start()
    assert wait_for(homes.settled, 20)
    update(whole, ids, 2)
    whole.stop()
    for name in homes.ring.names:
        shutil.rmtree(whole.data / name)
        shutil.copytree(tmp_path / name, whole.data / name)
    whole.start()
    assert wait_for(homes.settled, 20)
    whole.do("kill", "db-2")
    for name in ("db-0", NAME):
        whole.do("kill", name)
    for name in ("db-0", NAME):
        whole.do("start", name)
    assert wait_for(lambda: whole.request("GET", "/readyz")[0] == 200, 20)
    assert all_are(whole, ids, 0)
