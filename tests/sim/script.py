"""Writing plans that follow a course of events: what happens when, on a common clock."""

import random
from dataclasses import dataclass, field

from tests.sim import knobs
from tests.sim.plan import Action, Fault, FaultKind, Op, Plan

HOME, PARTNER, STANDBY = range(3)
"""The roles in the first record's cell, as the faults of a plan `by_role` name them."""
NODES = (HOME, PARTNER, STANDBY)
FIELDS = ("name", "email", "group")
CALM = (0.0003, 0.0005, 0.0, 0.0, 0.0)

Routes = tuple[tuple[int, ...], ...]
"""For each gateway the nodes that it does not reach."""


@dataclass(slots=True)
class Script:
    """Events collected so far."""

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
        """A client of its own asks at that moment."""
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

    def converse(self, begin: float, gap: float, gateway: int, actions: list[Action]) -> None:
        """One client asks for one thing after the other, about `gap` after each answer."""
        self._clients += 1
        for number, action in enumerate(actions):
            pause = gap * 2 * self.rng.random() + (0.0 if number else begin)
            self.ops.append(Op(self._clients, pause, gateway, action, 0, self._fields()))

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
        """A fault at that moment."""
        self._faults.append(Fault(max(0.0, at), kind, one, other, lasts, fuse, amount))

    def route(self, routes: Routes, lasts: float) -> None:
        """Let gateways not reach some nodes, so that others coordinate what they ask for."""
        for gateway, nodes in enumerate(routes):
            for node in nodes:
                self.cause(0.0, FaultKind.BLIND, node, gateway, lasts=lasts)

    def write(self, create: float = 0.12, delete: float = 0.1) -> Action:
        """A change: mostly an update."""
        return self.rng.choices(
            (Action.POST, Action.DELETE, Action.PUT), (create, delete, 1 - create - delete)
        )[0]

    def read(self, whole: float = 0.25) -> Action:
        """A read: of one record, or LIST or COUNT."""
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
        """All that was asked and caused so far, as a plan. `turned`: the knobs that are."""
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
