"""A node as a process: its disk, its socket, its signals."""

import asyncio
import errno
import logging
import random
import signal
import sys
from functools import partial

import uvloop

from ddb.node.membership.boots import begin_boot
from ddb.node.membership.directory_owner import claim, claimed
from ddb.node.membership.identity import ForeignData, Identity, keep, mint, recall
from ddb.node.membership.outdated import discard
from ddb.node.node import Node
from ddb.node.storage.disk_space import Space, free_supply, needed_to_open, shortfall
from ddb.node.storage.rocksdb import RocksStore
from ddb.node.storage.store import StoreFailed, StoreRefused, Unreadable
from ddb.ring.ring import Ring
from ddb.runtime.descriptors import (
    NodeShares,
    TooFewDescriptors,
    exhausted,
    node_shares,
    raise_limit,
)
from ddb.runtime.parent_watch import notify_of_exit
from ddb.runtime.process_log import LogRefused, ProcessLog, keep_counts, start_log
from ddb.runtime.scheduling import schedule_in_batches
from ddb.runtime.system_clock import SystemClock
from ddb.settings import NodeSettings
from ddb.wire.connection_limits import ConnectionLimits
from ddb.wire.link import Link
from ddb.wire.listener import Listener
from ddb.wire.messages import Hello, Unwelcome, Welcome
from ddb.wire.network import Network
from ddb.wire.timeouts import Timeouts

log = logging.getLogger(__name__)


def run(settings: NodeSettings) -> int:
    """Run until told to stop; the exit code. What goes wrong is said on stderr."""
    try:
        logs = start_log(settings.log_file)
        shares = node_shares(raise_limit(), len(settings.members))
    except (LogRefused, TooFewDescriptors) as refused:
        return _refuse(settings.name, str(refused))
    schedule_in_batches()
    names = tuple(sorted(member.name for member in settings.members))
    try:
        # Before the store is opened, which alone would change a directory that is not ours.
        known = claimed(settings.data, settings.name, names)
    except ForeignData as foreign:
        return _refuse(settings.name, str(foreign))
    if not uvloop.run(_room_to_open(settings)):
        return 0
    while True:
        code = _start(settings, names, known, shares, logs)
        if code is not None:
            return code
        known = True


def _start(
    settings: NodeSettings,
    names: tuple[str, ...],
    known: bool,
    shares: NodeShares,
    logs: ProcessLog,
) -> int | None:
    """One start of the node, on a store and a loop of its own; None where another must follow.

    `known`: the directory says that it belongs to this node.
    """
    try:
        store = RocksStore(settings.data, settings.fsync)
    except StoreRefused as refused:
        return _refuse(settings.name, str(refused))
    try:
        return uvloop.run(_serve(settings, names, store, known, shares, logs))
    except (ForeignData, StoreRefused) as refused:
        return _refuse(settings.name, str(refused))
    except Unreadable as unreadable:
        return _refuse(
            settings.name,
            f"{settings.data} cannot be used: {unreadable}. The node does not know any more who it"
            " is and what it has promised; its records are safe on the others. Move it away and"
            " start this node with an empty directory, and it is refilled from the others",
        )
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return _refuse(settings.name, f"{settings.host}:{settings.port} is already in use")
    except StoreFailed as failed:
        if exhausted(failed):
            return _refuse(
                settings.name,
                f"no file descriptor was left for the store: {failed}. Nothing unacknowledged was"
                " answered as stored, and the disk is not damaged; raise the limit (`ulimit -n`,"
                f" now {shares.limit}) and start the node again",
            )
        return _refuse(
            settings.name,
            f"the disk failed: {failed}. Nothing unacknowledged was answered as stored;"
            " the node stops, since what is left on the disk is not known",
        )
    finally:
        store.close()


async def _room_to_open(settings: NodeSettings) -> bool:
    """Wait until the disk has room to open the store; False when told to stop meanwhile.

    On a full disk the attempt to open would itself write, and fail halfway.
    """
    stopped = _when_told(settings.exit_with_parent)
    said = False
    while settings.data.exists() and not stopped.done():
        lacking = shortfall(needed_to_open(settings.data), free_supply(settings.data))
        if lacking is None:
            break
        if not said:
            log.error(
                "%s waits: %s has %s. Its data is safe and the other nodes go on without it."
                " Make room, and it starts by itself",
                settings.name,
                settings.data,
                lacking,
            )
            said = True
        await asyncio.wait((stopped,), timeout=1.0)
    return not stopped.done()


async def _serve(
    settings: NodeSettings,
    names: tuple[str, ...],
    store: RocksStore,
    known: bool,
    shares: NodeShares,
    logs: ProcessLog,
) -> int | None:
    keep_counts(logs)
    clock, rng = SystemClock(), random.Random()
    ring = Ring(names)
    identity = await _identify(settings, names, store, known, rng)
    network = Network({})
    timeouts = Timeouts.of(settings.request_budget_ms / 1000)
    boot = await begin_boot(store, identity.node_id, rng)
    space = Space(settings.data, clock)
    node = Node(identity, boot, ring, store, network, clock, rng, space, timeouts)
    hello = node.hello
    for member in settings.members:
        if member.name != settings.name:
            judge = partial(node.greeted, member.name)
            network.links[member.name] = Link(
                member.name, member.host, member.port, hello, clock, judge
            )

    async def greet(caller: Hello) -> Welcome | Unwelcome:
        answer = await node.greet(caller)
        if isinstance(answer, Welcome) and caller.caller in network.links:
            network.links[caller.caller].nudge()
        return answer

    limits = ConnectionLimits(shares.strangers, shares.gateways, frozenset(network.links))
    listener = Listener(node.handle, greet, clock, limits)
    node.announce = listener.announce
    store.observe(node.disk_monitor)
    await listener.start(settings.host, settings.port)
    log.info("%s listens on %s:%d", node, settings.host, settings.port)
    stopped = _when_told(settings.exit_with_parent)
    store.when_broken(lambda failed: None if stopped.done() else stopped.set_exception(failed))
    work = asyncio.ensure_future(node.run())
    await asyncio.wait((stopped, work), return_when=asyncio.FIRST_COMPLETED)
    listener.stop()
    network.close()
    if work.done():
        work.result()
    work.cancel()
    if stopped.done():
        stopped.result()
        log.info("%s stops", settings.name)
        return 0
    log.info("%s starts again", settings.name)
    return None


async def _identify(
    settings: NodeSettings,
    names: tuple[str, ...],
    store: RocksStore,
    known: bool,
    rng: random.Random,
) -> Identity:
    """Whose disk this is, minted where it is new. Raises `ForeignData`, `StoreRefused`."""
    identity = recall(store, settings.name, names)
    if identity is None and known:
        raise StoreRefused(
            f"{settings.data} has lost the node's identity, and who knows what else: move it away"
            " and start this node with an empty directory, and it is refilled from the others"
        )
    if identity is None:
        identity = mint(settings.name, names, rng)
        await keep(store, identity)
    if not known:
        claim(settings.data, identity)
    if identity.discards:
        identity = await discard(store, identity)
    return identity


def _when_told(exit_with_parent: bool) -> asyncio.Future[None]:
    loop = asyncio.get_running_loop()
    told: asyncio.Future[None] = loop.create_future()

    def tell() -> None:
        if not told.done():
            told.set_result(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, tell)
    if exit_with_parent:
        notify_of_exit(sys.stdin.fileno(), tell)
    return told


def _refuse(name: str, reason: str) -> int:
    print(f"{name}: {reason}", file=sys.stderr, flush=True)
    return 1
