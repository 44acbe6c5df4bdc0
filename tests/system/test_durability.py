"""Acknowledged changes survive the death of all processes, since two nodes flush them first."""

import os
import signal
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cluster import Cluster, wait_for
from tests.http.connection import TimedAnswer
from tests.system.batch import create, read, send, succeed, user
from tests.system.conftest import restore
from tests.system.homes import Homes
from tests.system.tracer import Flushes

CHUNK = 80
POSTS = 20


def test_kill_of_all_nodes_loses_nothing(whole: Cluster, homes: Homes) -> None:
    """After kill -9 of all nodes during writes, each acknowledged write is readable."""
    pids = [whole.pids()[name] for name in homes.ring.names]

    def kill() -> None:
        time.sleep(0.7)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    ids: list[str] = []
    answers: list[TimedAnswer | None] = []
    all_dead = False
    while not all_dead:
        # The last chunk finds no node.
        all_dead = not killer.is_alive()
        chunk = [f"lost-{number}" for number in range(len(ids), len(ids) + CHUNK)]
        answers += send(whole, create(chunk))
        ids += chunk
    acknowledged = {
        each
        for each, answer in zip(ids, answers, strict=True)
        if answer is not None and answer.status == 201
    }
    refused = {
        each
        for each, answer in zip(ids, answers, strict=True)
        if answer is not None and answer.status == 503 and answer.json["applied"] == "no"
    }
    print(f"{len(acknowledged)} acknowledged, {len(refused)} certainly not done")
    assert acknowledged
    assert refused
    assert wait_for(lambda: not set(homes.ring.names) & whole.pids().keys(), 20)
    restore(whole)
    assert wait_for(homes.settled, 20)
    found = {
        each: answer.json
        for each, answer in zip(ids, read(whole, ids), strict=True)
        if answer.status == 200
    }
    assert {each for each in acknowledged if found.get(each) != user(each)} == set()
    assert refused & set(found) == set()
    # A standby may have decided a read and have a hint to hand off. Until then the state of an
    # interrupted write stays on the other home.
    assert wait_for(lambda: _equal_after(read(whole, ids), homes), 20)


@pytest.mark.parametrize(("mode", "least"), [("always", 2), ("os", 0)])
def test_two_nodes_flush_before_the_answer(tmp_path: Path, mode: str, least: int) -> None:
    """Two nodes flush their logs before an answer, unless `DDB_FSYNC` is `os`."""
    with Cluster(tmp_path, DDB_FSYNC=mode) as cluster:
        homes = Homes(cluster)
        assert wait_for(homes.settled, 20)
        ids = homes.ids(("db-0", "db-1", "db-2"), POSTS, "flushed")
        pids = cluster.pids()
        with ExitStack() as stack:
            nodes = [stack.enter_context(Flushes(pids[name])) for name in homes.ring.names]
            for each in ids:
                before = [logs(node) for node in nodes]
                succeed(cluster, create([each]))
                flushed = sum(logs(node) > had for node, had in zip(nodes, before, strict=True))
                assert flushed >= least
        print(nodes)
        assert mode == "always" or sum(map(logs, nodes)) == 0


def _equal_after(_: object, homes: Homes) -> bool:
    return homes.settled() and not homes.unequal()


def logs(flushes: Flushes) -> int:
    """Return the number of flushes of the store's write-ahead logs."""
    return sum(count for name, count in flushes.files.items() if name.endswith(".log"))
