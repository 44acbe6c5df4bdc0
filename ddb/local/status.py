"""What a cluster is doing, from its nodes, its gateway and, if local, its supervisor."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence

from ddb.local.child import Process
from ddb.local.control import Found, Request, ask
from ddb.local.layout import GATEWAY, Layout, reachable, url_of
from ddb.local.probe import HTTP_OK, fetch
from ddb.settings import GatewaySettings, Member
from ddb.wire.status_client import ask_status

_TIMEOUT = 1.0
_UNKNOWN = Found(None, Process.STOPPED.value)
_ELSEWHERE = Found(None, "-")
"""A process that the operating system here cannot be asked about."""

Facts = dict[str, object]


def gather(layout: Layout) -> Facts:
    """The status document. Raises LocalError where the cluster does not run."""
    processes = ask(layout.data, Request("list")).processes

    def runs(name: str) -> bool:
        return processes.get(name, _UNKNOWN).process == Process.RUNNING.value

    gateway = Member(GATEWAY, *layout.address(GATEWAY))
    answers = asyncio.run(_ask_all(layout.members, gateway, runs))
    return _status(layout.members, processes, layout.url, answers) | {"data": str(layout.data)}


def gather_from(settings: GatewaySettings) -> Facts:
    """The status document of a cluster that others run, by its own word alone.

    `settings` are those of the gateway that runs beside this process, if one does.
    """
    gateway = Member(GATEWAY, reachable(settings.host), settings.port)
    answers = asyncio.run(_ask_all(settings.members, gateway, lambda _: True))
    names = [*(member.name for member in settings.members), GATEWAY]
    return _status(settings.members, dict.fromkeys(names, _ELSEWHERE), url_of(gateway), answers)


def _status(
    members: Sequence[Member],
    processes: Mapping[str, Found],
    url: str,
    answers: tuple[list[Facts | None], Facts | None],
) -> Facts:
    nodes, view = answers
    gateway = _gateway(url, processes.get(GATEWAY, _UNKNOWN), view)
    views = _mapping(gateway.get("nodes"))
    status: Facts = {
        "nodes": [
            _node(member, processes.get(member.name, _UNKNOWN), answer, views.get(member.name))
            for member, answer in zip(members, nodes, strict=True)
        ],
        "gateway": gateway,
    }
    requests = _requests_per_operation(gateway, nodes)
    if requests is not None:
        status["requests_per_operation"] = requests
    return status


async def _ask_all(
    members: Sequence[Member], gateway: Member, runs: Callable[[str], bool]
) -> tuple[list[Facts | None], Facts | None]:
    async def node(member: Member) -> Facts | None:
        if not runs(member.name):
            return None
        try:
            return await ask_status(member.host, member.port, _TIMEOUT)
        except (OSError, TimeoutError):
            return None

    async def view() -> Facts | None:
        if not runs(gateway.name):
            return None
        answer = await asyncio.to_thread(fetch, gateway.host, gateway.port, "/statusz", _TIMEOUT)
        if answer is None or answer[0] != HTTP_OK:
            return None
        try:
            return _mapping(json.loads(answer[1]))
        except ValueError:
            return None

    *nodes, seen = await asyncio.gather(*(node(member) for member in members), view())
    return nodes, seen


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


def _gateway(url: str, found: Found, view: Facts | None) -> Facts:
    return {
        **(view or {"nodes": {}, "counters": {}}),
        "url": url,
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
