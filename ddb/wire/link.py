"""The calling end of the wire: a lasting, pipelined connection to one node.

A link connects again by itself, pings the node, and tracks its condition. `in_flight` sends the
requests. Deadlines cross the wire on the callee's clock (`peer_clock`).
"""

import asyncio
import logging
from collections.abc import Callable

from ddb.runtime.descriptors import exhausted
from ddb.runtime.log_limit import cause
from ddb.wire.frames import DamagedFrame, FrameReader
from ddb.wire.in_flight import InFlight
from ddb.wire.messages import (
    DiskNotice,
    DiskState,
    Hello,
    Ping,
    Pong,
    Reply,
    Request,
    Unwelcome,
    Welcome,
)
from ddb.wire.ports import Clock, Condition, Silent, Unreachable
from ddb.wire.resolver import Host

log = logging.getLogger(__name__)

PING_INTERVAL_S = 0.1
"""Seconds between pings. Lower: idle links cost CPU. Higher: callers notice a silent node later."""
SUSPECT_AFTER_S = 0.25
"""Seconds without a frame after which a node counts as SUSPECT.

Lower: a node that misses two pings loses its requests. Higher: requests go to a silent node.
"""
RECONNECT_AFTER_S = 1.0
"""Seconds of silence after which a link replaces its connection.

Lower: a paused node costs a new connection. Higher: a link stays on a dead connection for longer.
"""
RECONNECT_DELAYS_S = (0.05, 0.1, 0.2, 0.4)
"""Seconds before the first, second, third and each further attempt to connect.

Lower: a dead node costs CPU. Higher: a node that returns waits for its requests.
"""
Greeted = Callable[[Welcome | Unwelcome], str]
"""Decides on a reply to Hello: returns the objection to this callee, or an empty string."""


def _no_objection(_: Welcome | Unwelcome) -> str:
    return ""


class Link:
    """A lasting connection to the node `name` at `host`:`port`."""

    def __init__(
        self,
        name: str,
        host: str,
        port: int,
        hello: Callable[[], Hello],
        clock: Clock,
        greeted: Greeted = _no_objection,
    ) -> None:
        """`hello` makes the Hello of each connection. `greeted` decides on each reply to it."""
        self.name = name
        self.requests = 0
        self.condition = Condition.DOWN
        """See `Transport.condition`. The node's reports can only worsen it."""
        self.in_flight = InFlight(name, clock, self)
        """The requests without a reply, and the connection that carries them."""
        self._condition = Condition.DOWN
        self._voting = False
        self._disk = DiskState.HEALTHY
        self._host = Host(host)
        self._port = port
        self._hello = hello
        self._greeted = greeted
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._pinged_at = 0.0
        self._nudged = asyncio.Event()
        self._task = self._loop.create_task(self._keep())
        self._task.add_done_callback(self._ended)
        self._complaint = ""

    def ask(self, request: Request, deadline: float, timeout_s: float) -> asyncio.Future[Reply]:
        """See `Transport.ask`."""
        future: asyncio.Future[Reply] = self._loop.create_future()
        if self._condition is Condition.DOWN:
            future.set_exception(Unreachable(f"{self.name} is not connected"))
            return future
        self.requests += 1
        self.in_flight.send(request, future, deadline, timeout_s)
        return future

    def nudge(self) -> None:
        """Connect without further delay: the peer has just connected to this process."""
        self._nudged.set()

    def close(self) -> None:
        """Close the connection for good."""
        self._task.cancel()
        self._host.close()
        self.lost("closed")

    def __repr__(self) -> str:
        return f"<Link {self.name} {self.condition.name} {len(self.in_flight.waiting)} in flight>"

    def received(self, data: bytes, reader: FrameReader[Reply]) -> None:
        """Process bytes from the node. Raises `DamagedFrame`."""
        in_flight = self.in_flight
        now = in_flight.received_at = self._clock.now()
        if self._condition is Condition.SUSPECT:
            self._believe(Condition.UP, self._voting)
        pop, newest = in_flight.waiting.pop, None
        for correlation, callee_time, reply in reader.feed(data):
            newest = callee_time
            waiting = pop(correlation, None)
            if waiting is None:
                if type(reply) is DiskNotice:
                    self._noticed(reply)
            elif not waiting[0].done():
                waiting[0].set_result(reply)
        if newest is not None:
            # The last reply has the greatest time, and so the tightest bound.
            in_flight.peer_clock.observe(newest, now)

    def lost(self, reason: str) -> None:
        """Drop the connection and end its requests as `Silent`."""
        self._disk = DiskState.HEALTHY
        self._believe(Condition.DOWN, voting=False)
        self.in_flight.disconnect()
        self.in_flight.end(Silent(f"lost {self.name}: {reason}"))

    def silent(self) -> None:
        """Implement `Owner.silent`."""
        if self._condition is Condition.UP:
            self._believe(Condition.SUSPECT, self._voting)

    def probe(self, now: float) -> None:
        """Implement `Owner.probe`."""
        # Between pings an idle peer sends nothing, and that is not yet silence.
        if self._pinged_at <= self.in_flight.received_at and self.in_flight.transport is not None:
            self._ping(now)

    def _noticed(self, notice: DiskNotice) -> None:
        self._disk = notice.disk
        self._believe(self._condition, self._voting)
        if notice.give_up:
            self.in_flight.end(Silent(f"the disk of {self.name} is {notice.disk.name.lower()}"))

    def _believe(self, condition: Condition, voting: bool) -> None:
        self._condition, self._voting = condition, voting
        self.condition = believed(condition, voting, self._disk)

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.critical(
                "the link to %s has failed. This process sends that node no more requests; no data"
                " is affected. Restart this process and report the error below",
                self.name,
                exc_info=error,
            )

    async def _keep(self) -> None:
        attempt = 0
        while True:
            # Not later: a nudge during a failed attempt makes the next one follow at once.
            self._nudged.clear()
            try:
                async with asyncio.timeout(RECONNECT_AFTER_S):
                    await self._connect()
                attempt = 0
                self._complain("")
                await self._watch()
            except (OSError, Silent, Unreachable, TimeoutError) as error:
                self.lost(str(error))
                if exhausted(error):
                    self._complain(
                        f"no file descriptor is left to connect to {self.name}, which counts as"
                        " down meanwhile. No data is affected, but requests that need it may get a"
                        " 503. The link tries again until it connects; raise the limit (`ulimit"
                        " -n`)"
                    )
            await self._pause(RECONNECT_DELAYS_S[min(attempt, len(RECONNECT_DELAYS_S) - 1)])
            attempt += 1

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._nudged.wait()
        except TimeoutError:
            pass  # The node has not connected to this process: try again.

    async def _connect(self) -> None:
        in_flight = self.in_flight
        in_flight.peer_clock.reset()
        in_flight.transport = await self._host.connected(self._port, lambda: _Calling(self))
        now = in_flight.received_at = self._clock.now()
        greeting: asyncio.Future[Reply] = self._loop.create_future()
        # The callee's clock has no bound yet. A Hello that arrives late does no harm.
        in_flight.send(self._hello(), greeting, now + RECONNECT_AFTER_S, RECONNECT_AFTER_S)
        welcome = await greeting
        if in_flight.transport is None:
            raise Unreachable("the connection was lost during the handshake")
        if isinstance(welcome, Unwelcome):
            self._greeted(welcome)
            self._complain(f"{self.name} refuses this process: {welcome.reason}")
            raise Unreachable(welcome.reason)
        # Before `greeted`, which remembers the disk of the node with this name.
        if not isinstance(welcome, Welcome) or welcome.name != self.name:
            self._complain(
                f"the process at {self._host.name}:{self._port} is not {self.name}, which counts as"
                " down meanwhile. No data is affected. Correct the list of nodes or the ports"
            )
            raise Unreachable("another process than expected")
        objection = self._greeted(welcome)
        if objection:
            self._complain(objection)
            raise Unreachable(objection)
        self._believe(Condition.UP, self._voting)

    def _complain(self, complaint: str) -> None:
        if complaint and complaint != self._complaint:
            log.warning("%s", complaint, extra=cause(f"link to {self.name}"))
        self._complaint = complaint

    async def _watch(self) -> None:
        """Ping until the connection is lost or silent for too long. Raises `Silent`."""
        while self.in_flight.transport is not None:
            now = self._clock.now()
            if now - self.in_flight.received_at >= RECONNECT_AFTER_S:
                raise Silent("silent")
            if now - self.in_flight.received_at >= SUSPECT_AFTER_S:
                self.silent()
            self._ping(now)
            await asyncio.sleep(PING_INTERVAL_S)

    def _ping(self, now: float) -> None:
        self._pinged_at = now
        pong: asyncio.Future[Reply] = self._loop.create_future()
        pong.add_done_callback(self._ponged)
        self.in_flight.send(Ping(), pong, now + RECONNECT_AFTER_S, RECONNECT_AFTER_S)

    def _ponged(self, pong: asyncio.Future[Reply]) -> None:
        answered = not pong.cancelled() and pong.exception() is None
        if answered and self.in_flight.transport is not None:
            reply = pong.result()
            voting = isinstance(reply, Pong) and reply.ready
            if isinstance(reply, Pong):
                self._disk = reply.disk
            self._believe(self._condition, voting)


def believed(condition: Condition, voting: bool, disk: DiskState) -> Condition:
    """Return the condition of a node.

    Args:
        condition: The condition of the connection.
        voting: True if the node reports that it votes. False: it is at best SUSPECT.
        disk: The state of its disk, as the node reports it.
    """
    if condition is not Condition.UP:
        return condition
    if not voting or disk is DiskState.STALLED:
        return Condition.SUSPECT
    return Condition.UP if disk is DiskState.HEALTHY else Condition.SLOW


class _Calling(asyncio.Protocol):
    """The asyncio protocol of one connection; its link lives on."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._reader: FrameReader[Reply] = FrameReader(Reply)
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        link = self._link
        if link.in_flight.transport not in (None, self._transport):
            return
        try:
            link.received(data, self._reader)
        except DamagedFrame as error:
            link.lost(f"damaged frame: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        if self._link.in_flight.transport in (None, self._transport):
            self._link.lost(str(exc or "closed by peer"))
