"""Complaints: log lines about records that a node cannot serve, one for each record."""

import logging

from ddb.node.replica.copies import WrongCell
from ddb.node.storage.store import NoDescriptors, StoreFailed
from ddb.record.state import DamagedState
from ddb.runtime.log_limit import cause

log = logging.getLogger(__name__)

MOST_COMPLAINTS = 1000
"""Complaints of one process. Too low: later damage is not reported. Too high: the log grows."""
_MEANING: dict[type[Exception], str] = {
    DamagedState: "its copy of this record cannot be read, and the other two of the cell decide"
    " without it. Only they hold the record: move this node's data away and start it with an empty"
    " directory, and it is refilled from them",
    WrongCell: "the record is not lost, but the caller has another ring: give every process the"
    " same list of nodes and the same version",
    NoDescriptors: "the other two of the cell decide without this node. No data is affected; raise"
    " the limit of file descriptors (`ulimit -n`)",
    StoreFailed: "every acknowledged write is on another node too, and this node stops: check its"
    " disk, then start it again",
}
"""The meaning of each error for the data, and the remedy."""


class Complaints:
    """Logs each error once per record: a client may request the record many times."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._made: set[tuple[type, bytes]] = set()

    def about(self, error: Exception, key: bytes) -> None:
        """Log an error that ended an operation on `key`."""
        complaint = (type(error), key)
        if complaint in self._made or len(self._made) >= MOST_COMPLAINTS:
            return
        self._made.add(complaint)
        log.error(
            "%s refused a request for %r, and nothing was done: %s: %s",
            self._name,
            key,
            error,
            _MEANING[type(error)],
            extra=cause(f"refused after {type(error).__name__}"),
        )

    def __repr__(self) -> str:
        return f"<Complaints {len(self._made)} of {self._name}>"
