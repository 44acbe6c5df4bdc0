"""A node as a process: its data directory, its socket, its signals."""

import asyncio
import errno
import logging
import random
import sys
from functools import partial

import uvloop

from ddb.node.admission import calls_back
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
from ddb.runtime.stop_signal import StopSignal
from ddb.runtime.system_clock import SystemClock
from ddb.settings import NodeSettings
from ddb.wire.connection_limits import ConnectionLimits
from ddb.wire.link import Link
from ddb.wire.listener import Listener
from ddb.wire.messages import Hello, Unwelcome, Welcome
from ddb.wire.network import Network
from ddb.wire.timeouts import Timeouts

log = logging.getLogger(__name__)

ROOM_CHECK_INTERVAL_S = 1.0
"""Seconds between checks of a full disk. Too low: needless system calls. Too high: the node stays
down longer after an operator has made room."""


def run(settings: NodeSettings) -> int:
    """Run a node until a signal stops it, and return the exit code.

    A refusal to start or to continue goes to stderr, with exit code 1.
    """
    stop = StopSignal()
    try:
        logs = start_log(settings.log_file)
        shares = node_shares(raise_limit(), len(settings.members))
    except (LogRefused, TooFewDescriptors) as refused:
        return _refuse(settings.name, str(refused))
    schedule_in_batches()
    names = tuple(sorted(member.name for member in settings.members))
    try:
        # Before the store opens: to open it would change another node's directory.
        is_claimed = claimed(settings.data, settings.name, names)
    except ForeignData as foreign:
        return _refuse(settings.name, str(foreign))
    uvloop.run(_room_to_open(settings, stop))
    while not stop.requested:
        code = _start(settings, names, is_claimed, shares, logs, stop)
        if code is not None:
            return code
        is_claimed = True
    return 0


def _start(
    settings: NodeSettings,
    names: tuple[str, ...],
    is_claimed: bool,
    shares: NodeShares,
    logs: ProcessLog,
    stop: StopSignal,
) -> int | None:
    """Run one start of the node, on its own store and event loop.

    Returns the exit code, or None where the node has to start again.

    Args:
        is_claimed: True where the owner file names this node; False where there is no such file.
    """
    try:
        store = RocksStore(settings.data, settings.fsync)
    except StoreRefused as refused:
        return _refuse(settings.name, str(refused))
    try:
        if stop.requested:
            return 0
        return uvloop.run(_serve(settings, names, store, is_claimed, shares, logs, stop))
    except (ForeignData, StoreRefused) as refused:
        return _refuse(settings.name, str(refused))
    except Unreadable as unreadable:
        return _refuse(
            settings.name,
            f"{settings.data} cannot be used: {unreadable}. The node has lost its identity or its"
            " promises; its records are safe on the other nodes. Move it away and start this node"
            " with an empty directory; it refills from the others",
        )
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return _refuse(
            settings.name,
            f"{settings.host}:{settings.port} is already in use. The node has changed no record;"
            " stop the other process or configure another port",
        )
    except StoreFailed as failed:
        if exhausted(failed):
            return _refuse(
                settings.name,
                f"no file descriptor was left for the store: {failed}. The node has acknowledged"
                " only what it stored, and the disk is not damaged. Raise the limit (`ulimit -n`,"
                f" now {shares.limit}) and start the node again",
            )
        return _refuse(
            settings.name,
            f"the disk failed: {failed}. The node stops, because the disk may lack its latest"
            " writes. It has acknowledged none of those. Check the disk, and start the node again",
        )
    finally:
        store.close()


async def _room_to_open(settings: NodeSettings, stop: StopSignal) -> None:
    """Wait until the disk has room to open the store, or until the stop.

    To open the store writes to the disk; on a full disk it would fail halfway.
    """
    stopped = _stopped(stop, settings.exit_with_parent)
    logged = False
    while settings.data.exists() and not stopped.done():
        lacking = shortfall(needed_to_open(settings.data), free_supply(settings.data))
        if lacking is None:
            break
        if not logged:
            log.error(
                "%s waits: %s has %s. Its data is safe, and the other nodes work without it."
                " Make room on the disk; then the node starts by itself",
                settings.name,
                settings.data,
                lacking,
            )
            logged = True
        await asyncio.wait((stopped,), timeout=ROOM_CHECK_INTERVAL_S)


async def _serve(
    settings: NodeSettings,
    names: tuple[str, ...],
    store: RocksStore,
    is_claimed: bool,
    shares: NodeShares,
    logs: ProcessLog,
    stop: StopSignal,
) -> int | None:
    """Run the node until a signal or its own work ends it.

    Returns 0 after a signal, None where the node has to start again.
    """
    keep_counts(logs)
    stopped = _stopped(stop, settings.exit_with_parent)
    clock, rng = SystemClock(), random.Random()
    ring = Ring(names)
    identity = await _identify(settings, names, store, is_claimed, rng)
    network = Network({})
    timeouts = Timeouts.of(settings.request_budget_ms / 1000)
    boot = await begin_boot(store, identity.node_id, rng)
    space = Space(settings.data, clock)
    node = Node(identity, boot, ring, store, network, clock, rng, space, timeouts)
    for member in settings.members:
        if member.name != settings.name:
            hello = partial(node.admission.hello, member.name)
            check = partial(node.admission.check_answer, member.name)
            network.links[member.name] = Link(
                member.name, member.host, member.port, hello, clock, check
            )

    async def greet(caller: Hello) -> Welcome | Unwelcome:
        """Answer a Hello. A peer that is back gets a connection at once."""
        reply = await node.admission.greet(caller)
        if calls_back(reply) and caller.caller in network.links:
            network.links[caller.caller].nudge()
        return reply

    limits = ConnectionLimits(shares.strangers, shares.gateways, frozenset(network.links))
    listener = Listener(node.handle, greet, clock, limits)
    node.announce = listener.announce
    store.observe(node.disk_monitor)
    await listener.start(settings.host, settings.port)
    log.info("%s listens on %s:%d", node, settings.host, settings.port)
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
    is_claimed: bool,
    rng: random.Random,
) -> Identity:
    """Read the identity of the disk, or mint one for a new disk.

    Raises:
        ForeignData: the disk belongs to another node.
        StoreRefused: the disk has lost its identity.
    """
    identity = recall(store, settings.name, names)
    if identity is None and is_claimed:
        raise StoreRefused(
            f"{settings.data} has lost the node's identity, and may have lost records too. The"
            " other nodes have every record. Move it away and start this node with an empty"
            " directory; it refills from the others"
        )
    if identity is None:
        identity = mint(settings.name, names, rng)
        await keep(store, identity)
    if not is_claimed:
        claim(settings.data, identity)
    if identity.discards:
        identity = await discard(store, identity)
    return identity


def _stopped(stop: StopSignal, exit_with_parent: bool) -> asyncio.Future[None]:
    """Return a future that a signal or the parent's exit resolves.

    Args:
        exit_with_parent: True to stop when the parent exits; False to outlive it.
    """
    if exit_with_parent:
        notify_of_exit(sys.stdin.fileno(), stop.request)
    return stop.future()


def _refuse(name: str, reason: str) -> int:
    """Print why the node does not run, and return its exit code."""
    print(f"{name}: {reason}", file=sys.stderr, flush=True)
    return 1
