"""Hello checks: which callers a node accepts, and which of them may propose."""

from collections.abc import Callable

from ddb.node.membership.boots import Peers, outdated
from ddb.node.membership.confirmation import Confirmation
from ddb.node.replica.ballots import Ballots
from ddb.node.storage.store import written
from ddb.ring.ring import Ring
from ddb.wire.messages import PROTOCOL, Boot, Hello, Propose, Refusal, Unwelcome, Welcome


class Admission:
    """Checks the Hello of callers and the answers of peers, for the node `name`.

    A wrong address must do no harm. A process of another cluster may have the names of this one. If
    this node took its disk for a peer's new one, it would refuse the peer from then on. So two
    things must prove a new disk. The process with that disk sends a Hello to this node. And it
    answers at the address that this node has for the peer.
    """

    def __init__(
        self,
        name: str,
        ring: Ring,
        boot: Boot,
        ballots: Ballots,
        peers: Peers,
        confirmation: Confirmation,
        cluster: Callable[[], bytes],
    ) -> None:
        """Start with the peers that the disk remembers.

        `cluster` returns the id of this node's cluster; empty while the node joins one.
        """
        self._name = name
        self._ring = ring
        self._boot = boot
        self._ballots = ballots
        self._began_at = ballots.counter
        self._confirmation = confirmation
        self._cluster = cluster
        self._found: dict[str, int] = {}
        """The node id that answered last at the address of each peer."""
        self.peers = peers

    def hello(self, callee: str) -> Hello:
        """Return the Hello of this start of the node for the peer `callee`."""
        return Hello(
            PROTOCOL,
            self._ring.digest,
            self._name,
            self._began_at,
            self._boot,
            callee,
            self._cluster(),
        )

    async def greet(self, hello: Hello) -> Welcome | Unwelcome:
        """Accept or refuse a caller's Hello. Raises `StoreFailed`."""
        objection = self._objection(hello)
        if objection:
            return self._unwelcome(objection, Refusal.MISMATCH)
        caller, boot = hello.caller, hello.boot
        if boot is not None:
            finding = self.peers.check(caller, boot)
            if finding is not None:
                reason = outdated(self._name, caller, finding)
                return self._unwelcome(reason, Refusal.OUTDATED_DISK)
            if self.peers.replaces(caller, boot) and self._found.get(caller) != boot.node_id:
                return self._unwelcome(
                    f"{self._name} has not yet found this disk at its address of {caller}. No data"
                    " is affected. If the message stays, another process has that name or address:"
                    " stop one of the two, or correct the list of nodes",
                    Refusal.UNPROVEN_DISK,
                )
            # Before the first await, so that from here on the earlier id proposes nothing.
            self.peers.note_hello(caller, boot)
            await written(self.peers.remember(caller, boot))
            self._ballots.observe(hello.counter)
        return Welcome(self._name, self._ballots.counter, self._boot, self._cluster())

    def _objection(self, hello: Hello) -> str:
        """Return why this node refuses a caller before it compares disks, or ""."""
        if hello.protocol != PROTOCOL:
            return (
                f"{self._name} speaks protocol {PROTOCOL}, the caller {hello.protocol}."
                " The two exchange no requests; run the same version everywhere"
            )
        if hello.ring != self._ring.digest:
            return (
                f"{self._name} is configured with the nodes {', '.join(self._ring.names)},"
                " the caller with others. The two exchange no requests; give every process the"
                " same list"
            )
        if hello.callee not in ("", self._name):
            return (
                f"the node at this address is {self._name}, and the caller expects {hello.callee}."
                " The two exchange no requests; correct the list of nodes or the ports"
            )
        if hello.caller == self._name:
            return (
                f"the caller has the name of this node, {self._name}. The two exchange no requests;"
                " give each node its own name, and each cluster its own addresses"
            )
        return _foreign(self._name, hello.caller) if self._is_foreign(hello.cluster) else ""

    def _unwelcome(self, reason: str, refusal: Refusal) -> Unwelcome:
        return Unwelcome(reason, refusal, self._boot, self._cluster())

    def _is_foreign(self, cluster: bytes) -> bool:
        """Whether a process belongs to another cluster than this node."""
        own = self._cluster()
        return bool(own) and bool(cluster) and own != cluster

    def check_answer(self, name: str, reply: Welcome | Unwelcome) -> str:
        """Check the answer of the peer `name` to this node's Hello.

        Returns why this node refuses the peer, or "" where it accepts it.
        """
        if reply.boot is not None:
            self._found[name] = reply.boot.node_id
        if isinstance(reply, Unwelcome):
            own = self._cluster()
            # A blank node of another cluster may remember any disk.
            if reply.refusal is Refusal.OUTDATED_DISK and (not own or own == reply.cluster):
                self._confirmation.refuse(reply.reason)
            return reply.reason
        if self._is_foreign(reply.cluster):
            return _foreign(self._name, name)
        if reply.boot is not None:
            finding = self.peers.check(name, reply.boot)
            if finding is not None:
                return outdated(self._name, name, finding)
            if self.peers.replaces(name, reply.boot):
                return (
                    f"{name} has a new disk, and has not yet connected to {self._name}, which waits"
                    " for that. No data is affected. If the message stays, the lists of nodes"
                    " differ: correct them"
                )
            self.peers.remember(name, reply.boot)
        self._confirmation.confirm(name)
        return ""

    def may_propose(self, request: Propose, caller: Hello | None) -> bool:
        """Whether the caller's latest Hello allows the ballot of its Propose."""
        return caller is not None and self.peers.may_propose(caller.caller, request.ballot.node)

    def __repr__(self) -> str:
        return f"<Admission {self._name} {self.peers!r} {self._confirmation!r}>"


def _foreign(name: str, other: str) -> str:
    return (
        f"{name} and {other} belong to different clusters. The two exchange no requests, and no"
        " data is affected; correct the list of nodes or the ports"
    )


def calls_back(reply: Welcome | Unwelcome) -> bool:
    """Whether a node that gives this reply to a peer connects to that peer at once.

    Other refused peers wait: two nodes that refuse each other would connect without a pause.
    """
    return isinstance(reply, Welcome) or reply.refusal is Refusal.UNPROVEN_DISK
