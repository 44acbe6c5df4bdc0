"""A node as a process: its disk, its socket, its signals."""

import asyncio
import errno
import logging
import random
import signal
import sys
from functools import partial

import uvloop

from ddb.node.boots import begin_boot
from ddb.node.identity import ForeignData, Identity, keep, mint, recall
from ddb.node.node import Node
from ddb.node.outdated import discard
from ddb.node.owner import claim, claimed
from ddb.node.rocks import RocksStore
from ddb.node.space import Space, free_bytes, needed_to_open
from ddb.node.store import StoreFailed, StoreRefused
from ddb.ring.ring import Ring
from ddb.settings import NodeSettings
from ddb.wire.clock import SystemClock
from ddb.wire.link import Link
from ddb.wire.listener import Listener
from ddb.wire.messages import Hello, Unwelcome, Welcome
from ddb.wire.network import Network
from ddb.wire.parent import gone
from ddb.wire.scheduling import in_batches

log = logging.getLogger(__name__)


def run(settings: NodeSettings) -> int:
    """Run until told to stop; the exit code. What goes wrong is said on stderr."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    in_batches()
    names = tuple(sorted(member.name for member in settings.members))
    try:
        # Before the store is opened, which alone would change a directory that is not ours.
        known = claimed(settings.data, settings.name, names)
    except ForeignData as foreign:
        return _refuse(settings.name, str(foreign))
    if not uvloop.run(_room_to_open(settings)):
        return 0
    while True:
        code = _start(settings, names, known)
        if code is not None:
            return code
        known = True


def _start(settings: NodeSettings, names: tuple[str, ...], known: bool) -> int | None:
    """One start of the node, on a store and a loop of its own; None where another must follow.

    `known`: the directory says that it belongs to this node.
    """
    try:
        store = RocksStore(settings.data, settings.fsync)
    except StoreRefused as refused:
        return _refuse(settings.name, str(refused))
    try:
        return uvloop.run(_serve(settings, names, store, known))
    except (ForeignData, StoreRefused) as refused:
        return _refuse(settings.name, str(refused))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return _refuse(settings.name, f"{settings.host}:{settings.port} is already in use")
    except StoreFailed as failed:
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
        needed, free = needed_to_open(settings.data), free_bytes(settings.data)
        if free >= needed:
            break
        if not said:
            log.error(
                "%s waits: %s has %d MB free, and to open what is there may take %d MB",
                settings.name,
                settings.data,
                free >> 20,
                needed >> 20,
            )
            said = True
        await asyncio.wait((stopped,), timeout=1.0)
    return not stopped.done()


async def _serve(
    settings: NodeSettings, names: tuple[str, ...], store: RocksStore, known: bool
) -> int | None:
    clock, rng = SystemClock(), random.Random()
    ring = Ring(names)
    identity = await _identify(settings, names, store, known, rng)
    network = Network({})
    boot = await begin_boot(store, identity.node_id, rng)
    room = Space(settings.data, clock).room
    node = Node(identity, boot, ring, store, network, clock, rng, room)
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

    listener = Listener(node.handle, greet, clock)
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
        gone(sys.stdin.fileno(), tell)
    return told


def _refuse(name: str, reason: str) -> int:
    print(f"{name}: {reason}", file=sys.stderr, flush=True)
    return 1
