"""Each request has a handler in the node, and states when the node may decline it."""

from pathlib import Path

from ddb.node.storage.disk_space import WRITING
from ddb.wire.messages import (
    REPLIES,
    REQUESTS,
    Accept,
    CoordinateChange,
    Form,
    GetStatus,
    HandoffBatch,
    Hello,
    Membership,
    Ping,
    Propose,
)
from tests.fakes.node import voting
from tests.loop import run


def test_each_request_has_a_handler(tmp_path: Path) -> None:
    """The node's table has every request except Hello, which the listener passes to `greet`."""

    async def scenario() -> None:
        async with voting(tmp_path) as (node, _):
            assert set(node.dispatcher.handlers) == set(REQUESTS) - {Hello}

    run(scenario())


def test_each_request_states_whether_it_writes() -> None:
    """A request class has its own `writes_disk`, and a reply class has none."""
    assert all("writes_disk" in vars(kind) for kind in REQUESTS)
    assert not any(hasattr(kind, "writes_disk") for kind in REPLIES)


def test_node_declines_requests_that_store_states() -> None:
    """On a full disk a node declines changes, proposals, acceptances and handoffs."""
    assert set(WRITING) == {CoordinateChange, Propose, Accept, HandoffBatch}


def test_joining_node_answers_what_a_join_needs() -> None:
    """Before it votes, a node answers pings, status requests and the messages of a join."""
    before_ready = {kind for kind in REQUESTS if kind.before_ready}
    assert before_ready == {Ping, GetStatus, Form, Membership}
