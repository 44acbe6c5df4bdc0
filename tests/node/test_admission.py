"""Which processes a node takes for its peers."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from ddb.node.node import Node
from ddb.wire.messages import PROTOCOL, Boot, Hello, Unwelcome, Welcome
from ddb.wire.ports import Condition
from tests.fakes.node import NAMES, RING, voting
from tests.loop import run

ME, PEER, OTHER, *_ = NAMES
DISK, ANOTHER_DISK = Boot(11, 7, (77,), 0), Boot(22, 1, (88,), 0)
CLUSTER, ANOTHER_CLUSTER = b"a cluster", b"another"


def hello(boot: Boot, callee: str = ME, cluster: bytes = b"") -> Hello:
    """Return a Hello in the name of `PEER`."""
    return Hello(PROTOCOL, RING.digest, PEER, 0, boot, callee, cluster)


def joined(node: Node) -> None:
    """Give the node a cluster, which `voting` leaves out."""
    node.bootstrap.identity = msgspec.structs.replace(node.bootstrap.identity, cluster=CLUSTER)


@pytest.mark.parametrize("condition", [Condition.UP, Condition.SLOW])
def test_a_second_process_does_not_replace_a_peer_that_is_up(
    tmp_path: Path, condition: Condition
) -> None:
    """While a peer is up, another process with its name is refused and leaves no trace."""

    async def scenario() -> None:
        conditions = {PEER: condition}
        async with voting(tmp_path, conditions=conditions) as (node, _):
            greet = node.admission.greet
            assert isinstance(await greet(hello(DISK)), Welcome)
            refused = await greet(hello(ANOTHER_DISK))
            assert isinstance(refused, Unwelcome)
            assert not refused.outdated
            assert isinstance(await greet(hello(DISK)), Welcome)
            conditions[PEER] = Condition.DOWN
            assert isinstance(await greet(hello(ANOTHER_DISK)), Welcome)
            retired = await greet(hello(DISK))
            assert isinstance(retired, Unwelcome)
            assert retired.outdated

    run(scenario())


@pytest.mark.parametrize(
    "stray",
    [
        lambda: hello(ANOTHER_DISK, callee=OTHER),
        lambda: hello(ANOTHER_DISK, cluster=ANOTHER_CLUSTER),
    ],
    ids=["a caller that expects another node", "a caller of another cluster"],
)
def test_a_stray_caller_leaves_no_trace(tmp_path: Path, stray: Callable[[], Hello]) -> None:
    """A Hello by a wrong address is refused, and the peer keeps its vote, even one that is down."""

    async def scenario() -> None:
        async with voting(tmp_path, conditions={PEER: Condition.DOWN}) as (node, _):
            joined(node)
            assert isinstance(await node.admission.greet(hello(DISK)), Welcome)
            refused = await node.admission.greet(stray())
            assert isinstance(refused, Unwelcome)
            assert not refused.outdated
            again = hello(DISK, cluster=CLUSTER)
            assert isinstance(await node.admission.greet(again), Welcome)

    run(scenario())


def test_a_welcome_of_another_cluster_leaves_no_trace(tmp_path: Path) -> None:
    """A node does not take the disk of another cluster's node for its peer's new one."""

    async def scenario() -> None:
        async with voting(tmp_path) as (node, _):
            joined(node)
            check = node.admission.check_welcome
            assert check(PEER, Welcome(PEER, 0, DISK, CLUSTER)) == ""
            reason = check(PEER, Welcome(PEER, 0, ANOTHER_DISK, ANOTHER_CLUSTER))
            assert "belong to different clusters" in reason
            assert check(PEER, Welcome(PEER, 0, DISK, CLUSTER)) == ""

    run(scenario())


def test_a_node_names_its_cluster_once_it_has_joined(tmp_path: Path) -> None:
    """A node sends the id of its cluster once it is ready; blank nodes may still change theirs."""

    async def scenario() -> None:
        async with voting(tmp_path) as (node, _):
            joined(node)
            sent = node.admission.hello(PEER)
            assert (sent.callee, sent.cluster) == (PEER, CLUSTER)
            node.bootstrap.ready = False
            assert node.admission.hello(PEER).cluster == b""

    run(scenario())
