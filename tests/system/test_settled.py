"""Reads of records whose coordinator is down write nothing."""

import time

import pytest

from tests.cluster import Cluster
from tests.system.batch import PATH, create, get, read, succeed, user
from tests.system.homes import Homes

pytestmark = pytest.mark.alone

RECORDS = 900
GOSSIP_S = 0.5
"""Seconds in which each node sends ten commit notices to each peer."""


@pytest.mark.parametrize("name", ["db-0", "db-1", "db-2"])
def test_reads_while_a_node_is_down_write_nothing(whole: Cluster, homes: Homes, name: str) -> None:
    """With a node down GET, LIST and COUNT start no round and leave no hint."""
    made = [f"settled-{number}" for number in range(RECORDS)]
    if get(whole, f"{PATH}count").json == {"count": 0}:
        succeed(whole, create(made))
    time.sleep(GOSSIP_S)
    others = [each for each in homes.ring.names if each != name]
    whole.do("kill", name)
    before = [homes.facts(each)["counters"]["rounds"] for each in others]

    answers = read(whole, made)
    rows = get(whole, f"{PATH}?limit=1000").json

    assert [answer.json for answer in answers] == [user(each) for each in made]
    assert sorted(row["id"] for row in rows) == sorted(made)
    assert get(whole, f"{PATH}count").json == {"count": RECORDS}
    assert [homes.facts(each)["counters"]["rounds"] for each in others] == before
    assert not any(homes.facts(each)["hints"] for each in others)
