"""Formation: how blank nodes become a cluster, and why a wiped one does not simply vote again.

A blank node knows nothing, and its "absent" must never count as half of a quorum unless the whole
cluster is new. So the first node by name, the founder, waits until all others are blank too, has
each write down that it belongs to the cluster about to be, and only then declares it ready; the
others follow when they see any ready node of that cluster. A node that is blank while another is
ready has lost its disk.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

import msgspec

from ddb.node.membership.confirmation import Confirmation
from ddb.node.membership.identity import CLUSTER_ID_BYTES, Identity, Stage, keep
from ddb.node.replica.ballots import Ballots
from ddb.node.storage.store import Store
from ddb.wire.messages import Form, Member, Membership, Reply, Request
from ddb.wire.ports import Clock, Silent, Transport, Unreachable

log = logging.getLogger(__name__)

POLL_INTERVAL_S = 0.1
PEER_TIMEOUT_S = 1.0
SURVEY_BUDGET_S = 2.0


class Bootstrap:
    """One node's way to READY."""

    def __init__(
        self,
        identity: Identity,
        store: Store,
        transport: Transport,
        clock: Clock,
        rng: random.Random,
        ballots: Ballots,
        confirmation: Confirmation,
        refill: Callable[[int], Awaitable[bool]],
    ) -> None:
        """`refill` takes over a blank node's share from the others; True once it has it all.

        It is given a counter above every ballot that this node's lost disk can have promised.
        """
        self.identity = identity
        self.missing: tuple[str, ...] = ()
        """Nodes that this one, not being ready, waits for: they do not answer."""
        self._store = store
        self._transport = transport
        self._clock = clock
        self._rng = rng
        self._confirmation = confirmation
        self._refill = refill
        self._ballots = ballots
        self._others = tuple(name for name in identity.names if name != identity.name)

    @property
    def ready(self) -> bool:
        """Whether this node belongs to a cluster and holds its share."""
        return self.identity.stage is Stage.READY

    async def run(self) -> None:
        """Work towards READY until there, or until the rows are to go. Raises `StoreFailed`."""
        while not self.ready:
            members = dict(zip(self._others, await self._survey(), strict=True))
            self._miss(tuple(name for name, member in members.items() if member is None))
            established = [
                member for member in members.values() if member and member.stage == Stage.READY
            ]
            if self.identity.stage is Stage.OUTDATED:
                if all(member and member.votes for member in members.values()):
                    await self._discard()
                    return
            elif established:
                await self._follow(established[0].cluster, list(members.values()))
            elif self.identity.name == min(self.identity.names):
                await self._found(list(members.values()))
            if not self.ready:
                await asyncio.sleep(POLL_INTERVAL_S)
        self.missing = ()

    async def form(self, request: Form) -> Reply:
        """Answer the founder."""
        joins = self.identity.stage in (Stage.BLANK, Stage.FOUNDING)
        if joins and self.identity.cluster != request.cluster:
            await self._become(Stage.FOUNDING, request.cluster)
        return self.member()

    def member(self) -> Member:
        """Answer Membership."""
        identity = self.identity
        votes = self.ready and self._confirmation.complete
        return Member(identity.stage, identity.cluster, self._ballots.counter, votes)

    async def _follow(self, cluster: bytes, members: list[Member | None]) -> None:
        if self.identity.stage is Stage.FOUNDING and self.identity.cluster == cluster:
            await self._become(Stage.READY, cluster)
        elif all(member and member.votes for member in members):
            floor = max(member.counter for member in members if member)
            if await self._refill(floor):
                await self._become(Stage.READY, cluster)

    async def _found(self, members: list[Member | None]) -> None:
        if not all(member and member.stage != Stage.OUTDATED for member in members):
            return
        cluster = self.identity.cluster or self._rng.randbytes(CLUSTER_ID_BYTES)
        if self.identity.stage is Stage.BLANK:
            await self._become(Stage.FOUNDING, cluster)
        agreed = await asyncio.gather(*(self._ask(name, Form(cluster)) for name in self._others))
        if all(
            member and member.stage == Stage.FOUNDING and member.cluster == cluster
            for member in agreed
        ):
            await self._become(Stage.READY, cluster)

    async def _survey(self) -> list[Member | None]:
        return await asyncio.gather(*(self._ask(name, Membership()) for name in self._others))

    def _miss(self, missing: tuple[str, ...]) -> None:
        if missing and missing != self.missing:
            log.info("%s waits for %s to join", self.identity.name, ", ".join(missing))
        self.missing = missing

    async def _ask(self, name: str, request: Request) -> Member | None:
        deadline = self._clock.now() + SURVEY_BUDGET_S
        try:
            reply = await self._transport.ask(
                name, request, deadline=deadline, timeout_s=PEER_TIMEOUT_S
            )
        except (Silent, Unreachable):
            return None
        return reply if isinstance(reply, Member) else None

    async def _become(self, stage: Stage, cluster: bytes) -> None:
        identity = msgspec.structs.replace(self.identity, stage=stage, cluster=cluster)
        await keep(self._store, identity)
        self.identity = identity

    async def _discard(self) -> None:
        identity = msgspec.structs.replace(self.identity, stage=Stage.BLANK, discards=True)
        await keep(self._store, identity)
        self.identity = identity

    def __repr__(self) -> str:
        return f"<Formation {self.identity.name} {self.identity.stage.name}>"
