"""Hints: a standby stores them while a home is down, and hands them off by itself."""

import datetime as dt

import pytest

from ddb.record.codec import encode
from ddb.record.hybrid_clock import at_millisecond
from ddb.record.version import Dot
from ddb.ring.ring import key_of
from ddb.wire.messages import Propose, ReplicaState
from tests.cluster import Cluster, wait_for
from tests.system.batch import PATH, Call, create, read, succeed, user
from tests.system.homes import Homes

CELL = ("db-0", "db-1", "db-2")
RECORDS = 40


def test_status_shows_hints(whole: Cluster, homes: Homes) -> None:
    """While a home is down, the status shows number, target and start of the hints."""
    ids = homes.ids(CELL, RECORDS, "shown")
    began = dt.datetime.now(dt.UTC).replace(microsecond=0)
    whole.do("kill", "db-1")
    succeed(whole, create(ids))
    succeed(whole, [Call("PUT", PATH, {"id": each, "group": 2}) for each in ids])
    hints = whole.node("db-2")["hints"]
    assert isinstance(hints, list)
    (shown,) = hints
    assert (shown["for"], shown["count"]) == ("db-1", RECORDS)
    since = dt.datetime.fromisoformat(shown["since"])
    assert began <= since <= dt.datetime.now(dt.UTC)
    assert "db-1" in whole.ctl("status").stdout


def test_a_returned_home_gets_its_hints(whole: Cluster, homes: Homes) -> None:
    """After an outage the home gets all missed changes and deletions, and no hint is left."""
    ids = homes.ids(CELL, RECORDS, "home")
    succeed(whole, create(ids))
    whole.do("stop", "db-1")
    succeed(whole, [Call("PUT", PATH, {"id": each, "group": 3}) for each in ids[::2]])
    succeed(whole, [Call("DELETE", PATH + each) for each in ids[1::2]])
    assert homes.facts("db-2")["hints"]
    before = homes.facts("db-2")["counters"]["handed_off"]
    whole.do("start", "db-1")
    assert wait_for(homes.settled, 20)
    assert homes.facts("db-2")["counters"]["handed_off"] >= before + RECORDS
    for number, each in enumerate(ids):
        first, second = homes.states(key_of(each))
        assert first == second
        assert second.live is (number % 2 == 0)
    assert homes.unequal() == set()


def test_a_restarted_standby_hands_off(whole: Cluster, homes: Homes) -> None:
    """A restarted standby hands off to a home that is up already."""
    ids = homes.ids(CELL, RECORDS, "boot")
    whole.do("kill", "db-1")
    succeed(whole, create(ids))
    whole.do("kill", "db-2")
    whole.do("start", "db-1")
    assert wait_for(lambda: whole.request("GET", "/readyz")[0] == 200, 10)
    assert not homes.state("db-1", key_of(ids[0])).live
    whole.do("start", "db-2")
    assert wait_for(homes.settled, 20)
    assert homes.unequal() == set()
    assert all(homes.state("db-1", key_of(each)).live for each in ids)


@pytest.mark.parametrize("home", CELL[:2])
def test_a_promise_far_ahead_stops_no_handoff(whole: Cluster, homes: Homes, home: str) -> None:
    """Handoff succeeds although the home promised a ballot hours ahead of the standby's clock."""
    (each,) = homes.ids(CELL, 1, f"ahead-{home}")
    key = key_of(each)
    succeed(whole, create([each]))
    state = homes.state(home, key)
    ahead = Dot(state.newest.counter + at_millisecond(3 * 3_600_000), 1)
    with homes.peer(home) as peer:
        # The home does not store this base, so it promises without accepting.
        assert isinstance(peer.ask(Propose(key, ahead, Dot(1, 1), encode(state))), ReplicaState)
    whole.do("pause", home)
    succeed(whole, [Call("PUT", PATH, {"id": each, "group": 2})])
    whole.do("resume", home)
    assert wait_for(homes.settled, 10)
    first, second = homes.states(key)
    assert first == second


def test_any_one_node_may_be_down(whole: Cluster, homes: Homes) -> None:
    """With any one node down all operations succeed, and later reads return their results."""
    live: list[str] = []
    for name in homes.ring.names:
        whole.do("kill", name)
        ids = [f"down-{name}-{number}" for number in range(RECORDS)]
        succeed(whole, create(ids))
        succeed(whole, [Call("DELETE", PATH + each) for each in ids[::2]])
        succeed(whole, [Call("PUT", PATH, {"id": each, "group": 5}) for each in ids[1::2]])
        live += ids[1::2]
        found = [answer.json for answer in read(whole, live)]
        assert found == [user(each, 5) for each in live]
        whole.do("start", name)
        assert wait_for(homes.settled, 20)
    assert homes.unequal() == set()
    gone = read(whole, [f"down-db-0-{number}" for number in range(0, RECORDS, 2)])
    assert {answer.status for answer in gone} == {404}
