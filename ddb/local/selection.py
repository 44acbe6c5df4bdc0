"""The processes on which one command acts."""

from collections.abc import Sequence

from ddb.local.child import ProcessState
from ddb.local.control import Request, ask
from ddb.local.layout import Layout

ALL = "all"
_ALIVE = {ProcessState.RUNNING.value, ProcessState.PAUSED.value}
_CHANGED_BY = {
    "stop": _ALIVE,
    "kill": _ALIVE,
    "pause": {ProcessState.RUNNING.value},
    "resume": {ProcessState.PAUSED.value},
    "start": {ProcessState.STOPPED.value},
}
"""The states in which an action has an effect."""


def select(layout: Layout, action: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return the processes that a user has named, each one once.

    `all` selects every process on which the action has an effect. Raises LocalError for a foreign
    name, or if the cluster does not run.
    """
    for name in names:
        if name != ALL:
            layout.address(name)
    if ALL not in names:
        return tuple(dict.fromkeys(names))
    processes = ask(layout.data, Request("list")).processes
    return tuple(
        name
        for name in layout.names
        if name in processes and processes[name].process in _CHANGED_BY[action]
    )
