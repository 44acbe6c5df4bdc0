"""What a node had coordinated before it went out is read without a write."""

import time

import pytest

from tests.cluster import Cluster
from tests.system.batch import PATH, create, get, read, succeed, user
from tests.system.homes import Homes

MANY = 900
TOLD = 0.5
"""Seconds: nodes tell each other of their rounds ten times each."""


@pytest.mark.parametrize("name", ["db-0", "db-1", "db-2"])
def test_reading_while_a_node_is_out_writes_nothing(
    whole: Cluster, homes: Homes, name: str
) -> None:
    """With a node out GET, LIST and COUNT decide nothing anew and leave no copy behind."""
    made = [f"settled-{number}" for number in range(MANY)]
    if get(whole, f"{PATH}count").json == {"count": 0}:
        succeed(whole, create(made))
    time.sleep(TOLD)
    others = [each for each in homes.ring.names if each != name]
    whole.do("kill", name)
    before = [homes.facts(each)["counters"]["rounds"] for each in others]

    answers = read(whole, made)
    rows = get(whole, f"{PATH}?limit=1000").json

    assert [answer.json for answer in answers] == [user(each) for each in made]
    assert sorted(row["id"] for row in rows) == sorted(made)
    assert get(whole, f"{PATH}count").json == {"count": MANY}
    assert [homes.facts(each)["counters"]["rounds"] for each in others] == before
    assert not any(homes.facts(each)["hints"] for each in others)
