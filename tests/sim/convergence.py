"""The checkers of the state at rest: convergence, space, digests, whole LISTs and COUNTs."""

from collections import defaultdict

import msgspec

from ddb.node.consensus import dedup_window
from ddb.node.replica.partition_digests import ROW, _digest
from ddb.node.storage.store import Family
from ddb.record import keyed_log
from ddb.record.codec import HEAD, LOGGED, body_of, decode, is_live
from ddb.record.state import DamagedState
from ddb.ring.ring import PARTITION_BYTES, key_of, partition_in
from tests.sim.clients import Clients
from tests.sim.history import Record
from tests.sim.machines import Machine
from tests.sim.store import SimStore
from tests.sim.world import World


def at_rest(world: World) -> str | None:
    """Return the first difference from the state at rest, or None.

    At rest there are no hints, no damage and no open rounds. Both homes of each record are
    byte-equal, and no other node has a copy. Each partition's tally equals the sum over its
    records.
    """
    copies_of: dict[bytes, dict[str, bytes]] = defaultdict(dict)
    for machine in world.machines.values():
        wrong = _at_rest(world, machine)
        if wrong:
            return wrong
        assert machine.store is not None
        for key, raw in machine.store.rows(Family.RECORDS):
            copies_of[key][machine.name] = raw
    for key, copies in copies_of.items():
        homes = world.ring.cell(key).homes
        if set(copies) != set(homes):
            return f"{key!r} of {homes} is on {sorted(copies)}"
        if copies[homes[0]] != copies[homes[1]]:
            return f"{key!r} differs between {homes}"
    return None


def _at_rest(world: World, machine: Machine) -> str | None:
    name, store, node = machine.name, machine.store, machine.node
    if store is None or node is None or not machine.up:
        return f"{name} is down"
    if damage := world.damaged(machine):
        return f"{name} has not rebuilt {damage}: {node.replica!r}"
    if node.replica.hints.total or store.rows(Family.HINTS):
        return f"{name} stores hints: {node.replica.hints!r}"
    if node.fast_write._rounds._open:
        return f"{name} has rounds without an end: {node.fast_write._rounds!r}"
    return _tallied(store, name)


def _tallied(store: SimStore, name: str) -> str | None:
    live: dict[int, int] = defaultdict(int)
    digest: dict[int, int] = defaultdict(int)
    for key, raw in store.rows(Family.RECORDS):
        live[partition_in(key)] += is_live(raw)
        digest[partition_in(key)] ^= _digest(key, raw)
    stored = {
        int.from_bytes(key, "big"): ROW.unpack(row) for key, row in store.rows(Family.DIGESTS)
    }
    for number in {*live, *stored}:
        if stored.get(number, (0, 0)) != (live[number], digest[number]):
            return f"the tally of {name} for partition {number} differs from its records"
    return None


def space(world: World) -> str | None:
    """Return the first copy that may not exist, or None.

    At any moment a record's copies are on its two homes, and a hint may be on its standby. Without
    faults there are no hints, so there are exactly two copies.
    """
    for name, machine in world.machines.items():
        if machine.store is None or not machine.up:
            continue
        for key, _ in machine.store.rows(Family.RECORDS):
            if name not in world.ring.cell(key).homes:
                return f"{name} stores {key!r} and is no home of it"
        for key, _ in machine.store.rows(Family.HINTS):
            if name != world.ring.cell(key).standby:
                return f"{name} stores a hint for {key!r} and is not its standby"
            if world.fault_free:
                return f"{name} stores a third copy of {key!r}, and no node was out of reach"
        for key, raw in machine.store.rows(Family.RECORDS):
            if wrong := _overfull(raw):
                return f"{name} stores {key!r} with {wrong}"
    return None


def _overfull(raw: bytes) -> str | None:
    """Return the size of a log of keyed operations that is too long, or None.

    A coordinator that proposes operations again exceeds the limit. So may each of three at once.
    """
    if raw[0] & LOGGED == 0 or len(raw) < HEAD.stop:
        return None
    try:
        count = keyed_log.count(decode(raw).keyed)
    except DamagedState:
        return None
    limit = 3 * dedup_window.MAX_KEYED_ENTRIES
    return f"{count} keyed operations, more than {limit}" if count > limit else None


async def whole_reads(world: World, clients: Clients) -> None:
    """Check that LIST and COUNT at rest are complete and exact through each gateway."""
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
