"""The status document of a cluster, from its nodes, its gateway and its supervisor."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence

from ddb.local.child import ProcessState
from ddb.local.control import ProcessInfo, Request, ask
from ddb.local.layout import GATEWAY, Layout, reachable, url_of
from ddb.local.probe import HTTP_OK, fetch
from ddb.settings import GatewaySettings, Member
from ddb.wire.status_client import ask_status

_ANSWER_TIMEOUT_S = 1.0
"""Too low: a busy process counts as down. Too high: `ddb status` waits for a frozen one."""
STATUS_FORMAT = 1
"""The version of the document. A new key does not change it; a key that goes or changes does."""
_ABSENT = ProcessInfo(None, ProcessState.STOPPED.value)
_REMOTE = ProcessInfo(None, "-")
"""A process on another machine, or in another container."""

Document = dict[str, object]
"""A JSON object."""


def gather(layout: Layout) -> Document:
    """Return the status of a local cluster. Raises LocalError if it does not run."""
    processes = ask(layout.data, Request("list")).processes

    def runs(name: str) -> bool:
        return processes.get(name, _ABSENT).process == ProcessState.RUNNING.value

    gateway = Member(GATEWAY, *layout.address(GATEWAY))
    answers = asyncio.run(_ask_all(layout.members, gateway, runs))
    return _status(layout.members, processes, layout.url, answers) | {"data": str(layout.data)}


def gather_from(settings: GatewaySettings) -> Document:
    """Return the status of a cluster without a supervisor, from its answers alone.

    Args:
        settings: those of the gateway on this machine, if it has one.
    """
    gateway = Member(GATEWAY, reachable(settings.host), settings.port)
    answers = asyncio.run(_ask_all(settings.members, gateway, lambda _: True))
    names = [*(member.name for member in settings.members), GATEWAY]
    return _status(settings.members, dict.fromkeys(names, _REMOTE), url_of(gateway), answers)


def _status(
    members: Sequence[Member],
    processes: Mapping[str, ProcessInfo],
    url: str,
    answers: tuple[list[Document | None], Document | None],
) -> Document:
    nodes, view = answers
    gateway = _gateway(url, processes.get(GATEWAY, _ABSENT), view)
    views = _mapping(gateway.get("nodes"))
    return {
        "format": STATUS_FORMAT,
        **_verdict(url, nodes, view),
        "nodes": [
            _node(member, processes.get(member.name, _ABSENT), answer, views.get(member.name))
            for member, answer in zip(members, nodes, strict=True)
        ],
        "gateway": gateway,
    }


def _verdict(url: str, nodes: list[Document | None], view: Document | None) -> Document:
    """Return the verdict of the gateway: only a gateway serves requests."""
    match view:
        case {"verdict": str(sentence), "ready": bool(ready), "tolerates": int(tolerates)}:
            return {"verdict": sentence, "ready": ready, "tolerates": tolerates}
    votes = sum(node is not None and node.get("state") == "ready" for node in nodes)
    sentence = (
        f"NOT READY: the gateway at {url} does not answer; {votes} of {len(nodes)} nodes"
        f" {'votes' if votes == 1 else 'vote'}, and acknowledged writes are kept"
    )
    return {"verdict": sentence, "ready": False, "tolerates": 0}


async def _ask_all(
    members: Sequence[Member], gateway: Member, runs: Callable[[str], bool]
) -> tuple[list[Document | None], Document | None]:
    async def node(member: Member) -> Document | None:
        if not runs(member.name):
            return None
        try:
            return await ask_status(member.host, member.port, _ANSWER_TIMEOUT_S)
        except (OSError, TimeoutError):
            return None

    async def view() -> Document | None:
        if not runs(gateway.name):
            return None
        answer = await asyncio.to_thread(
            fetch, gateway.host, gateway.port, "/statusz", _ANSWER_TIMEOUT_S
        )
        if answer is None or answer[0] != HTTP_OK:
            return None
        try:
            return _mapping(json.loads(answer[1]))
        except ValueError:
            return None

    *nodes, observed = await asyncio.gather(*(node(member) for member in members), view())
    return nodes, observed


def _node(member: Member, info: ProcessInfo, answer: Document | None, view: object) -> Document:
    document: Document = {"records": None, "hints": None, "disk_bytes": None, "counters": {}}
    document |= answer or {}
    # `phase` is the state that a node reports; `state` is the state that the gateway observes.
    document["phase"] = document.pop("state", None)
    return {
        **document,
        "name": member.name,
        "address": f"{member.host}:{member.port}",
        "pid": info.pid,
        "process": info.process,
        "state": _state(info, answer, _mapping(view).get("state")),
    }


def _state(info: ProcessInfo, answer: Document | None, observed: object) -> str:
    if info.process == ProcessState.STOPPED.value:
        return "down"
    if info.process == ProcessState.PAUSED.value and observed in (None, "up"):
        return "suspect"  # The gateway has not noticed the pause, or does not answer.
    if isinstance(observed, str):
        return observed
    return "up" if answer is not None else "down"


def _gateway(url: str, info: ProcessInfo, view: Document | None) -> Document:
    return {
        **(view or {"nodes": {}, "counters": {}}),
        "url": url,
        "pid": info.pid,
        "process": info.process,
        "state": "up" if view is not None else "down",
    }


def _mapping(value: object) -> Document:
    return value if isinstance(value, dict) else {}
