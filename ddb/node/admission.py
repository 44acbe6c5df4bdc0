"""Hello checks: whom a node talks to, and which caller may propose."""

from ddb.node.membership.boots import Peers, outdated
from ddb.node.membership.confirmation import Confirmation
from ddb.node.replica.ballots import Ballots
from ddb.node.storage.store import written
from ddb.ring.ring import Ring
from ddb.wire.messages import PROTOCOL, Boot, Hello, Propose, Request, Unwelcome, Welcome


class Admission:
    """Checks both sides of a connection's Hello for the node `name`."""

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
        """How this start of the node introduces itself."""
        return Hello(PROTOCOL, self._ring.digest, self._name, self._ballots.counter, self._boot)

    async def greet(self, hello: Hello) -> Welcome | Unwelcome:
        """Whether to talk to a caller at all. Raises `StoreFailed`."""
        if hello.protocol != PROTOCOL:
            return Unwelcome(
                f"{self._name} speaks protocol {PROTOCOL}, the caller {hello.protocol}:"
                " run the same version everywhere"
            )
        if hello.ring != self._ring.digest:
            return Unwelcome(
                f"{self._name} is configured with the nodes {', '.join(self._ring.names)},"
                " the caller with others: give every process the same list"
            )
        if hello.boot is not None:
            finding = self.peers.judge(hello.caller, hello.boot)
            if finding is not None:
                return Unwelcome(outdated(self._name, hello.caller, finding), True)
            # Before anything is awaited: from here on the earlier id proposes nothing.
            self.peers.greeted(hello.caller, hello.boot)
            await written(self.peers.remember(hello.caller, hello.boot))
        self._ballots.observe(hello.counter)
        return Welcome(self._name, self._ballots.counter, self._boot)

    def greeted(self, name: str, reply: Welcome | Unwelcome) -> str:
        """A peer has answered this node's Hello; why not to talk to it, empty where one may."""
        if isinstance(reply, Unwelcome):
            if reply.outdated:
                self._confirmation.refuse(reply.reason)
            return reply.reason
        if reply.boot is not None:
            finding = self.peers.judge(name, reply.boot)
            if finding is not None:
                return outdated(self._name, name, finding)
            self.peers.remember(name, reply.boot)
        self._confirmation.confirm(name)
        return ""

    def proposes(self, request: Request, caller: Hello | None) -> bool:
        """Whether the caller, by its latest Hello, may issue the ballot of a Propose."""
        return (
            caller is not None
            and isinstance(request, Propose)
            and self.peers.proposes(caller.caller, request.ballot.node)
        )

    def __repr__(self) -> str:
        return f"<Admission {self._name} {self.peers!r} {self._confirmation!r}>"
