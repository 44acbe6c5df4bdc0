"""Hello checks: which callers a node accepts, and which of them may propose."""

from ddb.node.membership.boots import Peers, outdated
from ddb.node.membership.confirmation import Confirmation
from ddb.node.replica.ballots import Ballots
from ddb.node.storage.store import written
from ddb.ring.ring import Ring
from ddb.wire.messages import PROTOCOL, Boot, Hello, Propose, Unwelcome, Welcome


class Admission:
    """Checks the Hello of callers and the Welcome of peers, for the node `name`."""

    def __init__(
        self,
        name: str,
        ring: Ring,
        boot: Boot,
        ballots: Ballots,
        peers: Peers,
        confirmation: Confirmation,
    ) -> None:
        self._name = name
        self._ring = ring
        self._boot = boot
        self._ballots = ballots
        self._confirmation = confirmation
        self.peers = peers

    @property
    def hello(self) -> Hello:
        """The Hello that this start of the node sends."""
        return Hello(PROTOCOL, self._ring.digest, self._name, self._ballots.counter, self._boot)

    async def greet(self, hello: Hello) -> Welcome | Unwelcome:
        """Accept or refuse a caller's Hello. Raises `StoreFailed`."""
        if hello.protocol != PROTOCOL:
            return Unwelcome(
                f"{self._name} speaks protocol {PROTOCOL}, the caller {hello.protocol}."
                " The two exchange no requests; run the same version everywhere"
            )
        if hello.ring != self._ring.digest:
            return Unwelcome(
                f"{self._name} is configured with the nodes {', '.join(self._ring.names)},"
                " the caller with others. The two exchange no requests; give every process the"
                " same list"
            )
        if hello.boot is not None:
            finding = self.peers.check(hello.caller, hello.boot)
            if finding is not None:
                return Unwelcome(outdated(self._name, hello.caller, finding), True)
            # Before the first await, so that from here on the earlier id proposes nothing.
            self.peers.note_hello(hello.caller, hello.boot)
            await written(self.peers.remember(hello.caller, hello.boot))
        self._ballots.observe(hello.counter)
        return Welcome(self._name, self._ballots.counter, self._boot)

    def check_welcome(self, name: str, reply: Welcome | Unwelcome) -> str:
        """Check a peer's answer to this node's Hello.

        Returns why this node refuses the peer, or "" where it accepts it.
        """
        if isinstance(reply, Unwelcome):
            if reply.outdated:
                self._confirmation.refuse(reply.reason)
            return reply.reason
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
