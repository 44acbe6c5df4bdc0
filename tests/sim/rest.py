"""The checkers of what is at rest: convergence, space, summaries, and whole LISTs and COUNTs."""

from collections import defaultdict

import msgspec

from ddb.node.replica.partition_digests import ROW, _digest
from ddb.node.storage.store import Family
from ddb.record.codec import body_of, is_live
from ddb.ring.ring import PARTITION_BYTES, key_of, partition_in
from tests.sim.clients import Clients
from tests.sim.disk import SimStore
from tests.sim.history import Record
from tests.sim.world import World


def at_rest(world: World) -> str | None:
    """What is not yet as it must be at rest; None where everything is.

    No hints and no damage; both homes of every record byte-equal; no copy elsewhere, so there are
    exactly two; every tally what its records add up to.
    """
    held: dict[bytes, dict[str, bytes]] = defaultdict(dict)
    for name, machine in world.machines.items():
        if machine.store is None or machine.node is None or not machine.up:
            return f"{name} is down"
        if damage := world.damaged(machine):
            return f"{name} has not rebuilt {damage}: {machine.node.replica!r}"
        if machine.node.replica.hints.total or machine.store.rows(Family.HINTS):
            return f"{name} holds or keeps hints: {machine.node.replica.hints!r}"
        for key, raw in machine.store.rows(Family.RECORDS):
            held[key][name] = raw
        wrong = _tallied(machine.store, name)
        if wrong:
            return wrong
    for key, copies in held.items():
        homes = world.ring.cell(key).homes
        if set(copies) != set(homes):
            return f"{key!r} of {homes} is on {sorted(copies)}"
        if copies[homes[0]] != copies[homes[1]]:
            return f"{key!r} differs between {homes}"
    return None


def _tallied(store: SimStore, name: str) -> str | None:
    live: dict[int, int] = defaultdict(int)
    digest: dict[int, int] = defaultdict(int)
    for key, raw in store.rows(Family.RECORDS):
        live[partition_in(key)] += is_live(raw)
        digest[partition_in(key)] ^= _digest(key, raw)
    stored = {
        int.from_bytes(key, "big"): ROW.unpack(row) for key, row in store.rows(Family.TALLIES)
    }
    for number in {*live, *stored}:
        if stored.get(number, (0, 0)) != (live[number], digest[number]):
            return f"the tally of {name} for partition {number} is not what its records add up to"
    return None


def space(world: World) -> str | None:
    """What is where it should not be, or more often than it may; None where nothing is.

    At any moment a record's copies are on its homes, and one more on its standby: a handoff in
    flight. Without faults there is never anything to hand off, and the copies are two.
    """
    for name, machine in world.machines.items():
        if machine.store is None or not machine.up:
            continue
        for key, _ in machine.store.rows(Family.RECORDS):
            if name not in world.ring.cell(key).homes:
                return f"{name} keeps {key!r}, of which it is no home"
        for key, _ in machine.store.rows(Family.HINTS):
            if name != world.ring.cell(key).standby:
                return f"{name} keeps a hint {key!r}, of which it is not the standby"
            if world.fault_free:
                return f"{name} keeps a third copy of {key!r}, and nobody was ever out of reach"
    return None


async def whole_reads(world: World, clients: Clients) -> None:
    """At rest LIST and COUNT are complete and exact, through every gateway."""
    live: dict[str, Record] = {}
    for machine in world.machines.values():
        assert machine.store is not None
        for key, raw in machine.store.rows(Family.RECORDS):
            if is_live(raw):
                live[key[PARTITION_BYTES:].decode()] = msgspec.json.decode(
                    body_of(raw), type=Record
                )
    for index in range(len(world.gateways)):
        listed = await clients.list_all(index, 1 + index)
        if listed is None or {str(row["id"]): row for row in listed.rows} != live:
            world.violate("listing at rest", f"{listed} instead of {live}")
        offset = 1 + len(live) // 2
        paged = await clients.page(index, offset, 1 + index)
        ids = sorted(live, key=key_of)[offset : offset + 1 + index]
        if paged is None or list(paged.ids) != ids:
            world.violate("listing at rest", f"{paged} instead of {ids}")
        counted = await clients.count(index)
        if counted is None or counted.count != len(live):
            world.violate("count at rest", f"{counted} instead of {len(live)}")
