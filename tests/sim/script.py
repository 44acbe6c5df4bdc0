"""A helper to write plans along a time line."""

import random
from dataclasses import dataclass, field

from tests.sim import knobs
from tests.sim.plan import Action, Fault, FaultKind, Match, Op, Plan

HOME, PARTNER, STANDBY = range(3)
"""Roles in the first record's cell; faults of a plan `by_role` number nodes so."""
NODES = (HOME, PARTNER, STANDBY)
FIELDS = ("name", "email", "group")
CALM = (0.0003, 0.0005, 0.0, 0.0, 0.0)

Routes = tuple[tuple[int, ...], ...]
"""For each gateway, the nodes that it does not reach."""


@dataclass(slots=True)
class Script:
    """Collects operations and faults, then makes a plan of them."""

    rng: random.Random
    ops: list[Op] = field(default_factory=list)
    _faults: list[Fault] = field(default_factory=list)
    _clients: int = 0

    def ask(
        self,
        at: float,
        action: Action,
        gateway: int,
        record: int = 0,
        *,
        retries: int = 0,
        repeat: bool = False,
        timeout_s: float = 1.5,
        cancels: bool = False,
        pause: float = 0.01,
        key: str | None = None,
        fields: tuple[str, ...] = (),
    ) -> None:
        """Let a new client send one operation `at` seconds after the start.

        Args:
            retries, repeat, timeout_s, cancels, pause, key: as for `Op`.
            fields: the fields to send. Empty draws some.
        """
        self._clients += 1
        self.ops.append(
            Op(
                self._clients,
                max(0.0, at),
                gateway,
                action,
                record,
                fields or self._fields(),
                retries=retries,
                repeat=repeat,
                timeout_s=timeout_s,
                cancels=cancels,
                pause=pause,
                key=key,
            )
        )

    def converse(
        self,
        begin: float,
        gap: float,
        gateway: int,
        actions: list[Action],
        matched: float = 0.0,
    ) -> None:
        """Let a new client send operations in turn, each about `gap` s after the last answer.

        `matched`: the share of updates and deletions with the tag that the client saw last.
        """
        self._clients += 1
        for number, action in enumerate(actions):
            pause = gap * 2 * self.rng.random() + (0.0 if number else begin)
            may_match = matched and action in (Action.PUT, Action.DELETE)
            match = Match.SEEN if may_match and self.rng.random() < matched else Match.NONE
            self.ops.append(
                Op(self._clients, pause, gateway, action, 0, self._fields(), match=match)
            )

    def cause(
        self,
        at: float,
        kind: FaultKind,
        one: int,
        other: int = 0,
        *,
        lasts: float,
        fuse: int = 0,
        amount: float = 1.0,
    ) -> None:
        """Let a fault begin `at` seconds after the start; arguments as for `Fault`."""
        self._faults.append(Fault(max(0.0, at), kind, one, other, lasts, fuse, amount))

    def route(self, routes: Routes, lasts: float) -> None:
        """Cut gateways off from some nodes, which decides who coordinates their requests."""
        for gateway, nodes in enumerate(routes):
            for node in nodes:
                self.cause(0.0, FaultKind.BLIND, node, gateway, lasts=lasts)

    def write(self, create: float = 0.12, delete: float = 0.1) -> Action:
        """Draw a change: mostly an update. `create` and `delete` are shares."""
        return self.rng.choices(
            (Action.POST, Action.DELETE, Action.PUT), (create, delete, 1 - create - delete)
        )[0]

    def read(self, whole: float = 0.25) -> Action:
        """Draw a read. `whole` is the share of LIST and COUNT, half each."""
        return self.rng.choices(
            (Action.GET, Action.LIST, Action.COUNT), (1 - whole, whole / 2, whole / 2)
        )[0]

    def plan(
        self,
        seed: int,
        *,
        nodes: int = len(NODES),
        gateways: int = 2,
        records: int = 1,
        skew: float,
        weather: tuple[float, float, float, float, float] = CALM,
        lateness: float = 0.0,
        fsync: float = 0.0004,
        partitions: int = 1,
        turned: knobs.Knobs,
        datagrams: bool = False,
        wired: bool = False,
        crowded: bool = False,
    ) -> Plan:
        """Make a plan of the operations and faults so far.

        Args:
            partitions: the ring's number of partitions.
            turned: values of the knobs that differ from the shipped ones, by dotted name.
            skew, weather, lateness, fsync, datagrams, wired, crowded: as for `Plan`.
        """
        return Plan(
            seed=seed,
            salt=seed,
            nodes=nodes,
            gateways=gateways,
            records=records,
            skew=skew,
            weather=weather,
            lateness=lateness,
            fsync=fsync,
            knobs={knobs.EVERYWHERE: partitions, **turned},
            ops=tuple(self.ops),
            faults=tuple(sorted(self._faults, key=lambda fault: fault.at)),
            datagrams=datagrams,
            wired=wired,
            crowded=crowded,
            by_role=nodes == len(NODES),
        )

    def _fields(self) -> tuple[str, ...]:
        return tuple(self.rng.sample(FIELDS, self.rng.choice((1, 1, 2, 3))))
