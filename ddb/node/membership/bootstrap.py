"""Bootstrap: how blank nodes form a cluster, and why a wiped node does not vote at once.

A blank node has no copies. Its "absent" must not count as half of a quorum, unless the whole
cluster is new. So the first node by name is the founder:

1. The founder waits until all other nodes are blank too.
2. It asks each to store the id of the new cluster.
3. Once all have, it becomes ready.
4. Each other node becomes ready when any node of that cluster is ready.

A node that is blank while another is ready has lost its disk. It refills before it votes.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from ddb.node.context import NodeContext
from ddb.node.membership.confirmation import Confirmation
from ddb.node.membership.identity import CLUSTER_ID_BYTES, Identity, Stage, keep
from ddb.node.replica.ballots import Ballots
from ddb.node.storage.store import Unreadable
from ddb.wire.messages import Form, Member, Membership, Reply, Request
from ddb.wire.ports import Silent, Unreachable

log = logging.getLogger(__name__)

POLL_INTERVAL_S = 0.1
"""Seconds between surveys of the peers. Too low: needless messages. Too high: a node joins late."""
PEER_TIMEOUT_S = 1.0
"""Seconds without a reply after which a peer is silent. Too low: a slow flush delays the cluster.
Too high: a dead peer does."""
SURVEY_BUDGET_S = 2.0
"""Seconds until the deadline of a survey's request. Too low: a slow peer drops it. Too high: a peer
answers a survey that is over."""


class Bootstrap:
    """Takes one node to the stage READY."""

    def __init__(
        self,
        context: NodeContext,
        identity: Identity,
        ballots: Ballots,
        confirmation: Confirmation,
        refill: Callable[[int], Awaitable[bool]],
        is_whole: Callable[[], bool],
    ) -> None:
        """Start from the stage that `identity` has.

        Args:
            refill: copies a blank node's share from the others, and returns whether all of it is
                here. Its argument is a counter above every promise of this node's lost disk.
            is_whole: whether this node can read every copy that it should have.
        """
        self.identity = identity
        self.ready = identity.stage is Stage.READY
        """Whether this node belongs to a cluster and has its share. Each message reads it."""
        self.missing: tuple[str, ...] = ()
        """Nodes without a reply, for which this node waits; empty once it is ready."""
        self._store = context.store
        self._transport = context.transport
        self._clock = context.clock
        self._rng = context.rng
        self._confirmation = confirmation
        self._refill = refill
        self._is_whole = is_whole
        self._waits_for_whole: tuple[str, ...] = ()
        self._warned = False
        self._ballots = ballots
        self._others = tuple(name for name in identity.names if name != identity.name)

    async def run(self) -> None:
        """Work until READY, or until this node must discard its rows. Raises `StoreFailed`."""
        while not self.ready:
            members = dict(zip(self._others, await self._survey(), strict=True))
            self._note_missing(tuple(name for name, member in members.items() if member is None))
            established = [
                member for member in members.values() if member and member.stage == Stage.READY
            ]
            if len({member.cluster for member in established}) > 1:
                # A refill would mix the records of two clusters.
                self._warn_of_two_clusters(members)
            elif self.identity.stage is Stage.OUTDATED:
                if self._others_have_all(members):
                    await self._discard()
                    return
            elif established:
                await self._follow(established[0].cluster, list(members.values()))
            elif self.identity.name == min(self.identity.names):
                await self._found(list(members.values()))
            if self.identity.discards:
                return
            if not self.ready:
                await asyncio.sleep(POLL_INTERVAL_S)
        self.missing = ()

    def _others_have_all(self, members: Mapping[str, Member | None]) -> bool:
        """Whether all other nodes vote and can read all their copies.

        While one of them has damage, the rows of this outdated disk may be the last good copies.
        """
        damaged = tuple(name for name, member in members.items() if member and not member.whole)
        if damaged and damaged != self._waits_for_whole:
            log.error(
                "%s keeps its outdated rows while %s cannot read some of its own copies: a record"
                " there may have no other copy. Requests for such records get 503. Nothing is"
                " lost. Repair that disk; or move this node's data away and start it with an empty"
                " directory, to go on without those copies",
                self.identity.name,
                " and ".join(damaged),
            )
        self._waits_for_whole = damaged
        return all(member and member.votes and member.whole for member in members.values())

    @property
    def cluster(self) -> bytes:
        """The id of the cluster that this node belongs to; empty while it joins one."""
        return self.identity.cluster if self.ready else b""

    def _warn_of_two_clusters(self, members: Mapping[str, Member | None]) -> None:
        if self._warned:
            return
        self._warned = True
        ready = [name for name, member in members.items() if member and member.stage is Stage.READY]
        log.error(
            "%s has joined no cluster: %s answer, and belong to different ones. No data is"
            " affected. Correct the list of nodes or the ports",
            self.identity.name,
            " and ".join(ready),
        )

    async def form(self, request: Form) -> Reply:
        """Answer the Form of the founder."""
        may_join = self.identity.stage in (Stage.BLANK, Stage.FOUNDING)
        if may_join and self.identity.cluster != request.cluster:
            await self._become(Stage.FOUNDING, request.cluster)
        return self.member()

    def member(self) -> Member:
        """Answer Membership."""
        identity = self.identity
        votes = self.ready and self._confirmation.complete
        return Member(
            identity.stage, identity.cluster, self._ballots.counter, votes, self._is_whole()
        )

    async def _follow(self, cluster: bytes, members: list[Member | None]) -> None:
        if self.identity.stage is Stage.FOUNDING and self.identity.cluster == cluster:
            await self._become(Stage.READY, cluster)
        elif all(member and member.votes for member in members):
            floor = max(member.counter for member in members if member)
            try:
                complete = await self._refill(floor)
            except Unreadable as unreadable:
                log.error(
                    "%s cannot read back what it has copied: %s. The other nodes serve all records."
                    " It discards its copies and refills again; if this repeats, replace the disk",
                    self.identity.name,
                    unreadable,
                )
                await self._discard()
                return
            if complete:
                await self._become(Stage.READY, cluster)

    async def _found(self, members: list[Member | None]) -> None:
        if not all(member and member.stage != Stage.OUTDATED for member in members):
            return
        cluster = self.identity.cluster or self._rng.randbytes(CLUSTER_ID_BYTES)
        if self.identity.stage is Stage.BLANK:
            await self._become(Stage.FOUNDING, cluster)
        answers = await asyncio.gather(*(self._ask(name, Form(cluster)) for name in self._others))
        if all(
            member and member.stage == Stage.FOUNDING and member.cluster == cluster
            for member in answers
        ):
            await self._become(Stage.READY, cluster)

    async def _survey(self) -> list[Member | None]:
        return await asyncio.gather(*(self._ask(name, Membership()) for name in self._others))

    def _note_missing(self, missing: tuple[str, ...]) -> None:
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
        await self._keep(msgspec.structs.replace(self.identity, stage=stage, cluster=cluster))

    async def _discard(self) -> None:
        await self._keep(msgspec.structs.replace(self.identity, stage=Stage.BLANK, discards=True))

    async def _keep(self, identity: Identity) -> None:
        await keep(self._store, identity)
        self.identity = identity
        self.ready = identity.stage is Stage.READY

    def __repr__(self) -> str:
        return f"<Bootstrap {self.identity.name} {self.identity.stage.name}>"
