"""What a local cluster is doing, put together from its supervisor, its nodes and its gateway."""

import asyncio
import json
from collections.abc import Mapping

from ddb.local.child import Process
from ddb.local.control import Found, Request, ask
from ddb.local.layout import GATEWAY, Layout
from ddb.local.probe import HTTP_OK, fetch
from ddb.settings import Member
from ddb.wire.status import ask_status

_TIMEOUT = 1.0
_UNKNOWN = Found(None, Process.STOPPED.value)

Facts = dict[str, object]


def gather(layout: Layout) -> Facts:
    """The status document. Raises LocalError where the cluster does not run."""
    processes = ask(layout.data, Request("list")).processes
    nodes, view = asyncio.run(_ask_all(layout, processes))
    gateway = _gateway(layout, processes.get(GATEWAY, _UNKNOWN), view)
    views = _mapping(gateway.get("nodes"))
    status: Facts = {
        "nodes": [
            _node(member, processes.get(member.name, _UNKNOWN), answer, views.get(member.name))
            for member, answer in zip(layout.members, nodes, strict=True)
        ],
        "gateway": gateway,
        "data": str(layout.data),
    }
    requests = _requests_per_operation(gateway, nodes)
    if requests is not None:
        status["requests_per_operation"] = requests
    return status


async def _ask_all(
    layout: Layout, processes: Mapping[str, Found]
) -> tuple[list[Facts | None], Facts | None]:
    async def node(member: Member) -> Facts | None:
        if processes.get(member.name, _UNKNOWN).process != Process.RUNNING.value:
            return None
        try:
            return await ask_status(member.host, member.port, _TIMEOUT)
        except (OSError, TimeoutError):
            return None

    async def gateway() -> Facts | None:
        if processes.get(GATEWAY, _UNKNOWN).process != Process.RUNNING.value:
            return None
        host, port = layout.address(GATEWAY)
        answer = await asyncio.to_thread(fetch, host, port, "/statusz", _TIMEOUT)
        if answer is None or answer[0] != HTTP_OK:
            return None
        try:
            return _mapping(json.loads(answer[1]))
        except ValueError:
            return None

    *nodes, view = await asyncio.gather(*(node(member) for member in layout.members), gateway())
    return nodes, view


def _node(member: Member, found: Found, answer: Facts | None, view: object) -> Facts:
    facts: Facts = {"records": None, "hints": None, "disk_bytes": None, "counters": {}}
    facts |= answer or {}
    # A node's own word on itself is its phase; its state is how others see it.
    facts["phase"] = facts.pop("state", None)
    return {
        **facts,
        "name": member.name,
        "address": f"{member.host}:{member.port}",
        "pid": found.pid,
        "process": found.process,
        "state": _state(found, answer, _mapping(view).get("state")),
    }


def _state(found: Found, answer: Facts | None, seen: object) -> str:
    if found.process == Process.STOPPED.value:
        return "down"
    if found.process == Process.PAUSED.value and seen in (None, "up"):
        return "suspect"  # The gateway has not noticed yet, or cannot be asked.
    if isinstance(seen, str):
        return seen
    return "up" if answer is not None else "down"


def _gateway(layout: Layout, found: Found, view: Facts | None) -> Facts:
    return {
        **(view or {"nodes": {}, "counters": {}}),
        "url": layout.url,
        "pid": found.pid,
        "process": found.process,
        "state": "up" if view is not None else "down",
    }


def _requests_per_operation(gateway: Facts, nodes: list[Facts | None]) -> float | None:
    operations = _counter(gateway, "operations")
    if not operations:
        return None
    requests = _counter(gateway, "node_requests")
    requests += sum(_counter(node, "peer_requests") for node in nodes if node is not None)
    return round(requests / operations, 3)


def _counter(facts: Facts, name: str) -> int:
    value = _mapping(facts.get("counters")).get(name)
    return value if isinstance(value, int) else 0


def _mapping(value: object) -> Facts:
    return value if isinstance(value, dict) else {}
