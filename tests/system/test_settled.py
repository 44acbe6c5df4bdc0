"""Reads of records whose coordinator is down write nothing."""

import time

import pytest

from tests.cluster import Cluster, wait_for
from tests.system.batch import PATH, create, get, read, succeed, user
from tests.system.conftest import restore
from tests.system.homes import Homes

pytestmark = pytest.mark.alone

RECORDS = 900
MADE = [f"settled-{number}" for number in range(RECORDS)]
ATTEMPTS = 3
GOSSIP_S = 0.5
"""Seconds in which each node sends ten commit notices to each peer."""


@pytest.mark.parametrize("name", ["db-0", "db-1", "db-2"])
def test_reads_while_a_node_is_down_write_nothing(whole: Cluster, homes: Homes, name: str) -> None:
    """With a node down GET, LIST and COUNT start no round and leave no hint.

    A machine that stalls for longer than a timeout causes rounds. The least of some attempts
    excludes them.
    """
    if get(whole, f"{PATH}count").json == {"count": 0}:
        succeed(whole, create(MADE))
    for _ in range(ATTEMPTS):
        assert wait_for(homes.settled, 20)
        time.sleep(GOSSIP_S)
        written = written_by_reads(whole, homes, name)
        if not written:
            break
        restore(whole)
    assert not written


def written_by_reads(cluster: Cluster, homes: Homes, down: str) -> int:
    """Return the rounds and hints of reading every record while one node is down."""
    others = [each for each in homes.ring.names if each != down]
    cluster.do("kill", down)
    before: int = sum(homes.facts(each)["counters"]["rounds"] for each in others)

    answers = read(cluster, MADE)
    rows = get(cluster, f"{PATH}?limit=1000").json

    assert [answer.json for answer in answers] == [user(each) for each in MADE]
    assert sorted(row["id"] for row in rows) == sorted(MADE)
    assert get(cluster, f"{PATH}count").json == {"count": RECORDS}
    after: int = sum(homes.facts(each)["counters"]["rounds"] for each in others)
    return after - before + sum(len(homes.facts(each)["hints"]) for each in others)
