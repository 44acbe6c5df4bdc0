"""Gateway processes: two on one cluster, and one without reachable nodes."""

import os
import secrets
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.cluster import Cluster, free_ports, wait_for
from tests.http.answer import Answer, refusal
from tests.http.api import Api
from tests.http.client import NONE
from tests.process import Process, members


def call(api: Api, method: str, path: str, body: object = None, **headers: str) -> Answer:
    """Send one request; return its response, even a 503."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return api.send(method, path, body, given)


@pytest.fixture(scope="module")
def gateways(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Api, Api]]:
    """Start two gateways of one cluster."""
    port = free_ports(1)
    one, other = Api(cluster.url), Api(f"http://127.0.0.1:{port}")
    with Process(
        tmp_path_factory.mktemp("gateway"),
        *("gateway", "--host", "127.0.0.1", "--port", str(port)),
        *("--members", members(cluster.port + 1)),
    ) as second:
        assert second.says("serves")
        assert wait_for(lambda: ready(other), 20)
        yield one, other
        one.clean_up()
        other.clean_up()


def listens(api: Api) -> bool:
    """Return whether a process accepts connections on the port."""
    try:
        api.socket().close()
    except ConnectionError:
        return False
    return True


def ready(api: Api) -> bool:
    return listens(api) and call(api, "GET", "/readyz").status == 200


def test_each_sees_the_others_changes(gateways: tuple[Api, Api]) -> None:
    """A change through one gateway is visible through the other at once."""
    for one, other in (gateways, gateways[::-1]):
        user = one.make(group=0)
        path = f"/api/users/{user['id']}"
        for number in range(1, 20):
            changed = one.call("PUT", path, {"group": number})
            found = other.call("GET", path)
            assert (found.user, found.etag) == (user | {"group": number}, changed.etag)
        assert other.call("DELETE", path).status == 204
        assert one.call("GET", path).status == 404


def test_a_request_is_done_once_through_both(gateways: tuple[Api, Api]) -> None:
    """A request with an Idempotency-Key sent through both gateways is done once."""
    one, other = gateways
    user, key = one.valid(), {"Idempotency-Key": secrets.token_hex()}
    path = f"/api/users/{user['id']}"
    first = one.call("POST", "/api/users/", user, key)
    assert (first.status, first.user) == (201, user)
    assert other.call("POST", "/api/users/", user, key) == first
    assert one.call("DELETE", path).status == 204
    assert other.call("POST", "/api/users/", user, key).status == 201
    assert other.call("GET", path).status == 404


def test_a_generated_id_is_the_same_through_both(gateways: tuple[Api, Api]) -> None:
    """A POST without an id makes one user when it is sent again through the other gateway."""
    one, other = gateways
    user, key = one.valid(), {"Idempotency-Key": secrets.token_hex()}
    del user["id"]
    first = one.call("POST", "/api/users/", user, key)
    one.delete_later(str(first.user["id"]))
    assert first.status == 201
    assert other.call("POST", "/api/users/", user, key) == first


def test_one_of_two_creates(gateways: tuple[Api, Api]) -> None:
    """Of creates through both gateways at the same time exactly one answers 201."""
    one, other = gateways
    for _ in range(5):
        users = [one.valid(id="placeholder", group=number) for number in range(8)]
        given = one.fresh()
        requests = [("POST", "/api/users/", user | {"id": given}, NONE) for user in users]
        with ThreadPoolExecutor(2) as pool:
            halves = pool.map(
                lambda half: half[0].together(*half[1]),
                ((one, requests[:4]), (other, requests[4:])),
            )
            statuses = [answer.status for half in halves for answer in half]
        assert sorted(statuses) == [201] + [409] * 7


def test_gateway_without_reachable_nodes(tmp_path: Path) -> None:
    """Without reachable nodes each request answers 503 with the right `applied`."""
    ports = free_ports(4)
    api = Api(f"http://127.0.0.1:{ports}")
    user = api.valid()
    with Process(
        tmp_path,
        *("gateway", "--host", "127.0.0.1", "--port", str(ports)),
        *("--members", members(ports + 1)),
    ) as gateway:
        assert gateway.says("serves")
        assert wait_for(lambda: listens(api), 10)
        assert call(api, "GET", "/readyz").status == 503
        assert call(api, "GET", "/healthz").status == 200
        for method, path, body in (
            ("GET", "/api/users/ada", None),
            ("GET", "/api/users/", None),
            ("GET", "/api/users/count", None),
            ("POST", "/api/users/", user),
            ("PUT", "/api/users/ada", {"group": 1}),
            ("DELETE", "/api/users/ada", None),
        ):
            answer = call(api, method, path, body)
            refusal(answer, 503, "UnavailableError")
            assert answer.user["applied"] == "no"
            assert answer.header("retry-after") == "1"
            if method in ("POST", "PUT", "DELETE"):
                # This request changed nothing, but an earlier one with the same key may have.
                answer = call(api, method, path, body, Idempotency_Key="again")
                assert (answer.status, answer.user["applied"]) == (503, "unknown")
        assert call(api, "GET", "/nothing").status == 404
        assert call(api, "POST", "/api/users/", b"garbage").status == 400
        api._connection.close()


@pytest.mark.parametrize("lane", ["fast", "asgi"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_on_a_signal_exits_with_0(tmp_path: Path, number: signal.Signals, lane: str) -> None:
    """A gateway that gets a stop signal exits with code 0."""
    port = free_ports(4)
    with Process(
        tmp_path,
        *("gateway", "--host", "127.0.0.1", "--port", str(port), "--http-lane", lane),
        *("--members", members(port + 1)),
    ) as gateway:
        assert wait_for(lambda: listens(Api(f"http://127.0.0.1:{port}")), 20)
        gateway.send(number)
        assert gateway.ended() == 0
        assert "Traceback" not in gateway.output


def test_every_node_paused(tmp_path: Path) -> None:
    """While all nodes are paused, changes soon answer 503 with the right `applied`."""
    with Cluster(tmp_path) as cluster:
        api = Api(cluster.url)
        user = api.make(group=0)
        path = f"/api/users/{user['id']}"
        nodes = [pid for name, pid in cluster.pids().items() if name != "gateway"]
        for pid in nodes:
            os.kill(pid, signal.SIGSTOP)
        outcomes = []
        for number in range(1, 6):
            start = time.monotonic()
            named = {"Idempotency_Key": "k5"} if number == 5 else {}
            answer = call(api, "PUT", path, {"group": number}, **named)
            assert time.monotonic() - start < 1
            refusal(answer, 503, "UnavailableError")
            outcomes.append(answer.user["applied"])
        for pid in nodes:
            os.kill(pid, signal.SIGCONT)
        # The gateway sent the first one before it could find out that the node was paused.
        assert outcomes[0] == "unknown"
        assert wait_for(lambda: ready(api), 20)
        time.sleep(0.5)
        possible = {0} | {at + 1 for at, applied in enumerate(outcomes) if applied == "unknown"}
        assert api.call("GET", path).user["group"] in possible
        last = api.call("PUT", path, {"group": 5}, {"Idempotency-Key": "k5"})
        assert last.status == 200
        api.call("PUT", path, {"group": 9})
        assert api.call("PUT", path, {"group": 5}, {"Idempotency-Key": "k5"}).user["group"] == 9
        api.clean_up()
