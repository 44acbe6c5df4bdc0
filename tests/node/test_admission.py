"""Which processes a node takes for its peers."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from ddb.node.node import Node
from ddb.wire.messages import PROTOCOL, Boot, Hello, Refusal, Unwelcome, Welcome
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


async def refusal(node: Node, sent: Hello) -> Refusal | None:
    """Return why the node refuses a Hello, or None where it accepts it."""
    reply = await node.admission.greet(sent)
    return reply.refusal if isinstance(reply, Unwelcome) else None


@pytest.mark.parametrize(
    "answer",
    [Welcome(PEER, 0, ANOTHER_DISK), Unwelcome("it refuses this node", boot=ANOTHER_DISK)],
    ids=["a Welcome", "an Unwelcome"],
)
def test_a_new_disk_calls_and_answers(tmp_path: Path, answer: Welcome | Unwelcome) -> None:
    """A peer's new disk is taken once it has both called and answered at the peer's address."""

    async def scenario() -> None:
        async with voting(tmp_path) as (node, _):
            admission = node.admission
            assert await refusal(node, hello(DISK)) is None
            assert await refusal(node, hello(ANOTHER_DISK)) is Refusal.UNPROVEN_DISK
            assert admission.check_answer(PEER, Welcome(PEER, 0, DISK)) == ""
            assert await refusal(node, hello(ANOTHER_DISK)) is Refusal.UNPROVEN_DISK
            assert await refusal(node, hello(DISK)) is None
            assert admission.check_answer(PEER, answer)
            assert await refusal(node, hello(DISK)) is None
            assert await refusal(node, hello(ANOTHER_DISK)) is None
            assert admission.check_answer(PEER, Welcome(PEER, 0, ANOTHER_DISK)) == ""
            assert await refusal(node, hello(DISK)) is Refusal.OUTDATED_DISK

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
    """A Hello by a wrong address is refused, even where its disk answers at the peer's address."""

    async def scenario() -> None:
        async with voting(tmp_path) as (node, _):
            joined(node)
            assert await refusal(node, hello(DISK)) is None
            node.admission.check_answer(PEER, Welcome(PEER, 0, ANOTHER_DISK))
            assert await refusal(node, stray()) is Refusal.MISMATCH
            assert await refusal(node, hello(DISK, cluster=CLUSTER)) is None

    run(scenario())


def test_an_answer_of_another_cluster_leaves_no_trace(tmp_path: Path) -> None:
    """A node does not take the disk of another cluster's node for its peer's new one."""

    async def scenario() -> None:
        async with voting(tmp_path) as (node, _):
            joined(node)
            check = node.admission.check_answer
            assert check(PEER, Welcome(PEER, 0, DISK, CLUSTER)) == ""
            reason = check(PEER, Welcome(PEER, 0, ANOTHER_DISK, ANOTHER_CLUSTER))
            assert "belong to different clusters" in reason
            assert check(PEER, Welcome(PEER, 0, DISK, CLUSTER)) == ""

    run(scenario())


@pytest.mark.parametrize(
    ("cluster", "obeys"), [(CLUSTER, True), (ANOTHER_CLUSTER, False), (b"", False)]
)
def test_only_the_own_cluster_ends_a_vote(tmp_path: Path, cluster: bytes, obeys: bool) -> None:
    """A node gives up its disk for a refusal by its own cluster, and for no other one."""

    async def scenario() -> None:
        async with voting(tmp_path) as (node, _):
            joined(node)
            reply = Unwelcome("it is old", Refusal.OUTDATED_DISK, DISK, cluster)
            assert node.admission.check_answer(PEER, reply) == "it is old"
            assert node.confirmation.refused.is_set() is obeys

    run(scenario())


def test_a_caller_without_a_disk_moves_no_counter(tmp_path: Path) -> None:
    """A gateway's Hello does not raise the node's counter."""

    async def scenario() -> None:
        async with voting(tmp_path) as (node, _):
            before = node.ballots.counter
            caller = Hello(PROTOCOL, RING.digest, "a gateway", (1 << 64) - 1)
            assert await refusal(node, caller) is None
            assert node.ballots.counter < before + (1 << 40)

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
