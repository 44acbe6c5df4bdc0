"""Records that remember many operations named by their clients, and those of earlier releases."""

from collections.abc import Callable, Iterator

import pytest

from ddb.gateway.routing.operation_ids import named_by_client
from ddb.node.consensus.dedup_window import ISSUE_GRAIN_S, KEYED_WINDOW_S, MAX_KEYED_ENTRIES
from ddb.record.change import Change, Kind, Outcome
from ddb.record.codec import encode
from ddb.record.keyed_log import appended, count
from ddb.record.state import State, digest_of
from ddb.record.version import Dot
from ddb.ring.ring import key_of
from ddb.wire.messages import Accept, Accepted
from tests.cluster import Cluster, wait_for
from tests.http.answer import Answer, invalid, refusal
from tests.http.api import Api
from tests.system.batch import PATH
from tests.system.homes import Homes

CREATOR = 77
"""The node id of the rounds that made the planted records."""
GROUP = Change(Kind.UPDATE, b'{"group":5}')


def plant(homes: Homes, id: str, made: Callable[[Dot, bytes], bytes]) -> None:
    """Have both homes of a user hold the state that `made` gives for a ballot and a body."""
    key = key_of(id)
    body = b'{"id":"%b","name":"Ada","email":"ada@example.com","group":5}' % id.encode()
    peers = [homes.peer(name) for name in homes.ring.cell(key).homes]
    ballot = Dot(max(peer.welcome.counter for peer in peers) + 1, CREATOR)
    for peer in peers:
        with peer:
            assert peer.ask(Accept(key, made(ballot, body))) == Accepted()


def full(id: str) -> Callable[[Dot, bytes], bytes]:
    """A record that remembers as many operations as it can, `GROUP` under key "recorded" first."""

    def made(ballot: Dot, body: bytes) -> bytes:
        recorded = named_by_client("recorded", id, GROUP)
        log = b""
        for number in range(MAX_KEYED_ENTRIES):
            digest = number.to_bytes(8, "big") if number else digest_of(recorded)
            log = appended(log, digest, recorded.fingerprint, Outcome.DONE, ballot)
        return encode(State((ballot,), True, body, (), log))

    return made


def older(id: str) -> Callable[[Dot, bytes], bytes]:
    """A record as an earlier release wrote it, with `GROUP` under "recorded" among its entries."""

    def made(ballot: Dot, body: bytes) -> bytes:
        recorded = named_by_client("recorded", id, GROUP)
        dot = ballot.counter.to_bytes(8, "big") + ballot.node.to_bytes(4, "big")
        entries = b"\x00\0\0\0\0\0\0\0\0\0\0\0\x01" + b"\x80" + recorded.id + recorded.fingerprint
        return b"\x11\x01" + dot + b"\0\x02" + entries + body

    return made


def put(api: Api, id: str, key: str | None, group: int) -> Answer:
    """A PUT of a group, under a key or without."""
    headers = {} if key is None else {"Idempotency-Key": key}
    return api.call("PUT", f"{PATH}{id}", {"group": group}, headers)


def cost(homes: Homes, work: Callable[[], object]) -> tuple[int, int]:
    """Ballots and requests to peers that some work takes."""
    before = homes.counter("rounds"), homes.counter("peer_requests")
    work()
    return homes.counter("rounds") - before[0], homes.counter("peer_requests") - before[1]


@pytest.fixture
def api(whole: Cluster) -> Iterator[Api]:
    """The gateway of the three nodes."""
    api = Api(whole.url)
    yield api
    api.clean_up()


@pytest.mark.parametrize("down", [None, 0, 1, 2])
def test_record_without_room_refuses_new_keys_alone(
    whole: Cluster, homes: Homes, api: Api, down: int | None
) -> None:
    """A full record answers a new key 429 and does everything else, with a node down too."""
    name = f"full-{down}"
    plant(homes, name, full(name))
    if down is not None:
        whole.do("kill", homes.ring.cell(key_of(name)).nodes[down])
        assert wait_for(lambda: put(api, name, None, 5).status == 200, 5)
    for number in range(3):
        answer = put(api, name, f"new-{number}", 6)
        assert refusal(answer, 429, "TooManyRequestsError") == {}
        assert answer.user["applied"] == "no"
        assert 0 < int(answer.header("retry-after") or "0") <= KEYED_WINDOW_S + ISSUE_GRAIN_S + 1
    assert api.call("GET", f"{PATH}{name}").user["group"] == 5
    assert put(api, name, None, 7).user["group"] == 7
    assert put(api, name, "recorded", 5).user["group"] == 7
    assert set(invalid(put(api, name, "recorded", 8))) == {"Idempotency-Key"}


@pytest.mark.alone
def test_what_keyed_requests_cost(homes: Homes, api: Api) -> None:
    """A keyed change, done or refused, takes one round and one request to a peer, as any other."""
    user = api.make(id="keyed-cost", group=1)
    assert user["group"] == 1
    assert cost(homes, lambda: put(api, "keyed-cost", None, 2)) == (1, 1)
    assert cost(homes, lambda: put(api, "keyed-cost", "first", 3)) == (1, 1)
    assert cost(homes, lambda: put(api, "no-such-user", "first", 3)) == (1, 1)
    # Recognised: the copies are compared. Without room: the same, and nothing is written.
    assert cost(homes, lambda: put(api, "keyed-cost", "first", 3)) == (0, 1)
    plant(homes, "full-cost", full("full-cost"))
    assert cost(homes, lambda: put(api, "full-cost", "new", 6)) == (0, 1)
    assert cost(homes, lambda: put(api, "full-cost", None, 6)) == (1, 1)
    assert count(homes.states(key_of("full-cost"))[0].keyed) == MAX_KEYED_ENTRIES


def test_records_of_an_earlier_release(whole: Cluster, homes: Homes, api: Api) -> None:
    """A restarted node reads a record of the older layout and recognises its keyed operations."""
    plant(homes, "older", older("older"))
    whole.stop()
    whole.start()
    assert api.call("GET", f"{PATH}older").user["group"] == 5
    assert put(api, "older", None, 9).user["group"] == 9
    assert put(api, "older", "recorded", 5).user["group"] == 9
    assert set(invalid(put(api, "older", "recorded", 6))) == {"Idempotency-Key"}
    assert put(api, "older", "new", 8).user["group"] == 8
    # The standby has a hint of a change where a home was slow to reply.
    assert wait_for(homes.settled, 20)
    assert [count(state.keyed) for state in homes.states(key_of("older"))] == [2, 2]
