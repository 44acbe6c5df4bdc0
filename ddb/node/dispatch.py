"""Dispatch: which requests a node accepts now, and what it replies where a handler fails."""

from collections.abc import Callable, Mapping
from typing import Any

from ddb.node.admission import Admission
from ddb.node.membership.bootstrap import Bootstrap
from ddb.node.membership.confirmation import Confirmation
from ddb.node.replica.acceptor import Acceptor
from ddb.node.replica.complaints import Complaints
from ddb.node.replica.copies import WrongCell
from ddb.node.storage.disk_space import WRITING, SpaceGuard, takes
from ddb.node.storage.store import StoreFailed, Unreadable
from ddb.record.state import DamagedState
from ddb.wire.messages import REQUESTS, Failed, Hello, Propose, Request
from ddb.wire.ports import Handling

_BEFORE_READY = frozenset(kind for kind in REQUESTS if kind.before_ready)
"""The requests that a node answers before it votes, too."""


class Dispatcher:
    """Passes each request of one node to its handler, unless the node must decline it."""

    def __init__(
        self,
        handlers: Mapping[type, Callable[[Any, float], Handling]],
        admission: Admission,
        confirmation: Confirmation,
        bootstrap: Bootstrap,
        replica: Acceptor,
        space: SpaceGuard,
        complaints: Complaints,
    ) -> None:
        """`handlers`: by the type of the request; each takes the request and its deadline."""
        self.handlers = handlers
        self._admission = admission
        self._confirmation = confirmation
        self._bootstrap = bootstrap
        self._replica = replica
        self._space = space
        self._complaints = complaints
        self._name = replica.name

    def handle(self, request: Request, deadline: float, caller: Hello | None = None) -> Handling:
        """Answer one request, at once or by a coroutine.

        Args:
            deadline: seconds on this node's clock.
            caller: the Hello of the connection; None where the caller has sent none.
        """
        kind = type(request)
        handler = self.handlers.get(kind)
        if type(request) is Propose and not self._admission.may_propose(request, caller):
            return Failed(
                f"{self._name} ignores the proposal: the proposer's latest Hello has another node"
                " id"
            )
        # Inlines `Node.votes`, to save a property call per message.
        votes = self._confirmation.complete and self._bootstrap.ready
        if handler is not None and (votes or kind in _BEFORE_READY):
            if kind in WRITING and not takes(request, self._space.room()):
                scarcest = self._space.scarcest.value
                return Failed(
                    f"the disk of {self._name} is full: it has too few free {scarcest}."
                    " It has written nothing; make room on that disk"
                )
            try:
                return handler(request, deadline)
            except Unreadable as unreadable:
                # The damage is in the log already, and other nodes store the record.
                return Failed(f"{self._name}: {unreadable}")
            except (DamagedState, WrongCell, StoreFailed) as error:
                # All three occur when the handler reads its own state, before it has any effect.
                if isinstance(error, DamagedState) and self._own_state_is_malformed(request):
                    return Failed(f"{self._name}: {error}")
                self._complaints.about(error, getattr(request, "key", b""))
                return Failed(f"{self._name}: {error}")
        if handler is None:
            return Failed(f"{type(request).__name__} is not a request to a node")
        if self._bootstrap.ready:
            return Failed(f"{self._name} has done nothing: it waits for a peer to confirm its disk")
        return Failed(f"{self._name} has done nothing: it is still joining the cluster")

    def _own_state_is_malformed(self, request: Request) -> bool:
        """Whether this node's own state cannot be decoded; reading it records the damage."""
        if not hasattr(request, "key"):
            return False
        try:
            self._replica.copies.state(request.key)
        except Unreadable:
            return True
        except WrongCell:
            return False
        return False

    def __repr__(self) -> str:
        return f"<Dispatcher of {self._name}, {len(self.handlers)} kinds of request>"
