"""What the gateway relies on in uvicorn beyond its documented interface, name by name.

To try a new minor version of uvicorn, raise the pin in pyproject.toml. What it has moved or changed
fails here first, and by name.
"""

import asyncio
import inspect
from collections import deque
from typing import Any

import pytest
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from ddb.gateway.fast_lane import FastLane
from ddb.gateway.http.bounded_http import BoundedHttp
from tests.fakes.records import FakeRecords
from tests.gateway.connected import Lane, connected, served
from tests.http.raw import request
from tests.loop import run, until

PUT = request("PUT", "/api/users/ada", b'{"group":2}')


def test_protocols_are_made_as_uvicorn_makes_them() -> None:
    """Uvicorn gives a protocol these arguments by name, and each lane takes them."""
    theirs = list(inspect.signature(HttpToolsProtocol).parameters)
    assert theirs == ["config", "server_state", "app_state", "_loop"]
    for lane in (BoundedHttp, FastLane):
        assert list(inspect.signature(lane).parameters) == theirs


@pytest.mark.parametrize(
    "name",
    [
        "connection_made",
        "connection_lost",
        "eof_received",
        "data_received",
        "pause_writing",
        "shutdown",
        "on_message_begin",
        "on_url",
        "on_header",
        "on_headers_complete",
        "on_body",
        "on_message_complete",
        "on_response_complete",
        "_unset_keepalive_if_required",
    ],
)
def test_methods(name: str) -> None:
    """Uvicorn has each method that the gateway overrides or calls."""
    assert inspect.isfunction(getattr(HttpToolsProtocol, name))


def test_server_state() -> None:
    """The server's state has what the lanes share with uvicorn: connections, tasks, the date."""
    state = ServerState()
    assert state.connections == set()
    assert state.tasks == set()
    assert state.default_headers == []
    assert state.total_requests == 0


def test_connection_attributes() -> None:
    """A connection has its parser, flow, queue and loop under the names that the gateway uses."""

    async def test() -> None:
        config, state = served(FakeRecords())
        protocol: Any = HttpToolsProtocol(config, ServerState(), dict(state))
        assert protocol.loop is asyncio.get_running_loop()
        assert isinstance(protocol.pipeline, deque)
        assert protocol.parser.should_upgrade() is False
        assert protocol.cycle is None
        assert protocol.flow is None
        assert protocol.connections is protocol.server_state.connections
        assert protocol.expect_100_continue is False
        protocol.on_message_begin()
        assert (protocol.url, protocol.headers) == (b"", [])
        assert protocol.scope["headers"] is protocol.headers

    run(test())


def test_cycle_attributes() -> None:
    """A request's cycle tells what has come and gone of it, and takes what the gateway sets."""

    async def test() -> None:
        async with connected(Lane.ASGI) as client:
            client.records.gate.clear()
            client.send(PUT, PUT)
            connection = client.connection
            assert isinstance(connection.cycle, RequestResponseCycle)
            # The newest request is at the left, which is where `_end` takes it from.
            assert connection.pipeline[0][0] is connection.cycle
            first, second = connection._unanswered
            assert second is connection.cycle
            assert (second.keep_alive, second.disconnected) == (True, False)
            assert (first.response_started, first.response_complete) == (False, False)
            assert not second.message_event.is_set() or not second.more_body
            client.records.gate.set()
            assert await client.statuses(2) == [200, 200]
            await until(lambda: second.response_complete)
            assert first.response_started

    run(test())


def test_flow_pauses_once() -> None:
    """Reading is paused and resumed through the flow, which counts neither twice."""
    calls = []

    class Transport:
        def pause_reading(self) -> None:
            calls.append("pause")

        def resume_reading(self) -> None:
            calls.append("resume")

    async def test() -> None:
        transport: Any = Transport()
        flow = FlowControl(transport)
        for step in (flow.pause_reading, flow.resume_reading):
            step()
            step()
        assert flow.write_paused is False

    run(test())
    assert calls == ["pause", "resume"]


def test_a_disconnected_request_is_not_answered() -> None:
    """An application whose cycle is marked disconnected sends nothing."""

    async def test() -> None:
        async with connected(Lane.ASGI) as client:
            client.send(PUT[:-3])
            await asyncio.sleep(0.01)
            cycle = client.connection.cycle
            cycle.disconnected = True
            cycle.message_event.set()
            await until(lambda: not client.server.tasks)
            assert await client.quiet()
            assert not cycle.response_started

    run(test())
