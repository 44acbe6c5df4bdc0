"""A stop signal during the start of a process."""

import asyncio
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop

from ddb.runtime.stop_signal import StopSignal
from tests.cluster import Cluster, free_ports, gone
from tests.process import Process, members

NUMBERS = (signal.SIGTERM, signal.SIGINT)


@pytest.fixture
def handlers() -> Iterator[None]:
    """Restore this process's handlers after the test."""
    before = {number: signal.getsignal(number) for number in NUMBERS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_signal_between_two_loops_counts(run: object, number: signal.Signals) -> None:
    """A signal after one event loop and before the next one stops the next one."""
    assert callable(run)
    stop = StopSignal()

    async def wait(timeout_s: float) -> bool:
        done, _ = await asyncio.wait({stop.future()}, timeout=timeout_s)
        return bool(done)

    assert not run(wait(0.01))
    signal.raise_signal(number)
    assert stop.requested
    assert run(wait(5))


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_signal_wakes_an_idle_loop(run: object) -> None:
    """A signal ends the wait of a loop without other work."""
    assert callable(run)
    stop = StopSignal()

    async def wait() -> float:
        stopped = stop.future()
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        start = time.monotonic()
        await asyncio.wait({stopped}, timeout=10)
        return time.monotonic() - start

    signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGTERM))
    try:
        assert run(wait()) < 5
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    assert stop.requested


@pytest.mark.parametrize("number", NUMBERS)
def test_stop_while_the_store_opens(tmp_path: Path, number: signal.Signals) -> None:
    """A node that gets a stop signal while its store opens ends cleanly, and starts again."""
    nodes, store = members(free_ports(3)), tmp_path / "d" / "rocks"
    command = ("node", "--members", nodes, "--name", "db-0", "--data", "d")
    with Process(tmp_path, *command) as node:
        while not store.exists():
            assert node.running
        node.send(number)
        assert node.ended(10) == 0
        assert "Traceback" not in node.output
    with Process(tmp_path, *command) as node:
        assert node.says("listens on")


@pytest.mark.parametrize("command", ["node", "gateway"])
def test_stop_at_any_moment_of_the_start(tmp_path: Path, command: str) -> None:
    """A process that gets SIGTERM at any moment of its start ends."""
    port = free_ports(4)
    port_of_gateway = ("--port", str(port)) if command == "gateway" else ("--name", "db-0")
    for number in range(1, 15):
        with Process(
            tmp_path, command, "--members", members(port + 1), *port_of_gateway
        ) as process:
            time.sleep(number * 0.05)
            process.send(signal.SIGTERM)
            # Before it has loaded its modules, the signal ends it directly.
            assert process.ended(10) in (0, -signal.SIGTERM)


@pytest.mark.parametrize("file", ["db-0.log", "db-0/rocks", "db-2/rocks", "db-2/rocks/CURRENT"])
def test_one_ctrl_c_ends_a_starting_cluster(tmp_path: Path, file: str) -> None:
    """One Ctrl-C ends `ddb up` while its nodes start. It has to kill none of them."""
    cluster = Cluster(tmp_path)
    cluster.launch()
    while not (cluster.data / file).exists():
        assert cluster.running
    pids = cluster.pids()
    assert cluster.stop(signal.SIGINT) == 0
    # After 5 s `ddb up` kills a process that has not stopped by itself, and prints so.
    assert "did not stop in time" not in cluster.output
    assert all(gone(pid) for pid in pids.values())
