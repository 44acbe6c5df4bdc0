"""Hello checks: which callers a node accepts, and which of them may propose."""

from collections.abc import Callable

from ddb.node.membership.boots import Peers, outdated
from ddb.node.membership.confirmation import Confirmation
from ddb.node.replica.ballots import Ballots
from ddb.node.storage.store import written
from ddb.ring.ring import Ring
from ddb.wire.messages import PROTOCOL, Boot, Hello, Propose, Unwelcome, Welcome
from ddb.wire.ports import Condition


class Admission:
    """Checks the Hello of callers and the Welcome of peers, for the node `name`.

    A wrong address must do no harm. A process of another cluster may have the names of this one. If
    this node took its disk for a peer's new one, it would refuse the peer from then on.
    """

    def __init__(
        self,
        name: str,
        ring: Ring,
        boot: Boot,
        ballots: Ballots,
        peers: Peers,
        confirmation: Confirmation,
        condition: Callable[[str], Condition],
        cluster: Callable[[], bytes],
    ) -> None:
        """Start with the peers that the disk remembers.

        Args:
            condition: the condition of a peer, by its name.
            cluster: returns the id of this node's cluster; empty while it joins one.
        """
        self._name = name
        self._ring = ring
        self._boot = boot
        self._ballots = ballots
        self._confirmation = confirmation
        self._condition = condition
        self._cluster = cluster
        self.peers = peers

    def hello(self, callee: str) -> Hello:
        """Return the Hello of this start of the node for the peer `callee`."""
        return Hello(
            PROTOCOL,
            self._ring.digest,
            self._name,
            self._ballots.counter,
            self._boot,
            callee,
            self._cluster(),
        )

    async def greet(self, hello: Hello) -> Welcome | Unwelcome:
        """Accept or refuse a caller's Hello. Raises `StoreFailed`."""
        objection = self._objection(hello)
        if objection:
            return Unwelcome(objection)
        if hello.boot is not None:
            finding = self.peers.check(hello.caller, hello.boot)
            if finding is not None:
                return Unwelcome(outdated(self._name, hello.caller, finding), True)
            # Before the first await, so that from here on the earlier id proposes nothing.
            self.peers.note_hello(hello.caller, hello.boot)
            await written(self.peers.remember(hello.caller, hello.boot))
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
        if self._is_foreign(hello.cluster):
            return _foreign(self._name, hello.caller)
        if hello.boot is not None and self._is_duplicate(hello.caller, hello.boot):
            return (
                f"another {hello.caller} is connected to {self._name}, with another disk. The"
                " caller gets no vote while that one is up; stop one of the two, or correct its"
                " addresses"
            )
        return ""

    def _is_foreign(self, cluster: bytes) -> bool:
        """Whether a process belongs to another cluster than this node."""
        own = self._cluster()
        return bool(own) and bool(cluster) and own != cluster

    def _is_duplicate(self, name: str, boot: Boot) -> bool:
        """Whether a peer with the remembered disk is up, so that `boot` is not its next start."""
        return self.peers.replaces(name, boot) and self._condition(name) <= Condition.SLOW

    def check_welcome(self, name: str, reply: Welcome | Unwelcome) -> str:
        """Check the answer of the peer `name` to this node's Hello.

        Returns why this node refuses the peer, or "" where it accepts it.
        """
        if isinstance(reply, Unwelcome):
            if reply.outdated:
                self._confirmation.refuse(reply.reason)
            return reply.reason
        if self._is_foreign(reply.cluster):
            return _foreign(self._name, name)
        if reply.boot is not None:
            finding = self.peers.check(name, reply.boot)
            if finding is not None:
                return outdated(self._name, name, finding)
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
