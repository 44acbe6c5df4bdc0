"""The calling end of the wire: a lasting, pipelined connection to one node.

A link connects again by itself, pings the node, and decides when it counts as silent. Deadlines
cross the wire on the callee's clock (`peer_clock`).
"""

import asyncio
import logging
from collections.abc import Callable

from ddb.runtime.descriptors import exhausted
from ddb.runtime.log_limit import cause
from ddb.wire.frames import DamagedFrame, FrameReader, frame
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
from ddb.wire.peer_clock import PeerClock
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
SWEEP_INTERVAL_S = 0.01
"""Seconds between two checks for silent requests.

Lower: a busy process spends more CPU on them. Higher: a request ends later than its timeout.
"""
PROBE_AFTER_S = 2 * SWEEP_INTERVAL_S
"""Seconds of silence during a request after which the link pings the node at once.

Lower: slow replies cause extra pings. Higher: an idle node may not reply before the timeout.
"""
OWN_STALL_S = 3 * SWEEP_INTERVAL_S
"""Seconds between two sweeps that show a pause of this process; no peer caused it.

Lower: a late sweep hides a silent peer. Higher: the pause alone ends requests. One sweep and this
pause are together shorter than any timeout.
"""
HARD_TIMEOUT_FACTOR = 3.0
"""Multiple of its timeout that a request may wait for a node that replies to others.

Lower: requests that wait for a flush end too early. Higher: a lost request uses up its budget.
"""
RECONNECT_DELAYS_S = (0.05, 0.1, 0.2, 0.4)
"""Seconds before the first, second, third and each further attempt to connect.

Lower: a dead node costs CPU. Higher: a node that returns waits for its requests.
"""
MAX_UNSENT_BYTES = 8 * 1024 * 1024
"""Bytes of requests that a node may leave unread before the link closes its connection.

Lower: a burst of handoff batches closes the connection. Higher: a stopped node costs memory.
"""
MOST_CORRELATION = 0xFFFFFFFF
"""The greatest correlation that a frame can carry."""


Waiting = tuple[asyncio.Future[Reply], float, float, float]
"""One request in flight: its future, the time of sending, its deadline, its timeout in seconds."""


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
        hello: Hello,
        clock: Clock,
        greeted: Greeted = _no_objection,
    ) -> None:
        """`greeted` decides on each reply to `hello`."""
        self.name = name
        self.requests = 0
        self.condition = Condition.DOWN
        """See `Transport.condition`. The node's reports can only worsen it."""
        self.transport: asyncio.Transport | None = None
        """The present connection; None while there is none."""
        self._condition = Condition.DOWN
        self._voting = False
        self._disk = DiskState.HEALTHY
        self._host = Host(host)
        self._port = port
        self._hello = hello
        self._greeted = greeted
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, Waiting] = {}
        self._correlation = 0
        self._out: list[bytes] = []
        self._received_at = 0.0
        self._pinged_at = 0.0
        self._peer_clock = PeerClock()
        self._sweeping = False
        self._swept_at = 0.0
        self._nudged = asyncio.Event()
        self._task = self._loop.create_task(self._keep())
        self._task.add_done_callback(self._ended)
        self._complaint = ""

    def ask(self, request: Request, deadline: float, timeout_s: float) -> asyncio.Future[Reply]:
        """See `Transport.ask`."""
        future: asyncio.Future[Reply] = self._loop.create_future()
        if self.transport is None or self._condition is Condition.DOWN:
            future.set_exception(Unreachable(f"{self.name} is not connected"))
            return future
        self.requests += 1
        self._send(request, future, deadline, timeout_s)
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
        return f"<Link {self.name} {self.condition.name} {len(self._waiting)} in flight>"

    def _send(
        self, request: Request, future: asyncio.Future[Reply], deadline: float, timeout_s: float
    ) -> None:
        # The node sends its notices with correlation 0.
        self._correlation = correlation = (self._correlation % MOST_CORRELATION) + 1
        now = self._clock.now()
        self._waiting[correlation] = (future, now, deadline, timeout_s)
        out = self._out
        if not out:
            self._loop.call_soon(self._flush)
        out.append(frame(correlation, max(0.0, deadline + self._peer_clock.offset_s), request))
        if not self._sweeping:
            self._sweeping = True
            self._swept_at = now
            self._loop.call_later(SWEEP_INTERVAL_S, self._sweep)

    def _flush(self) -> None:
        data = b"".join(self._out)
        self._out.clear()
        transport = self.transport
        if transport is None or not data:
            return
        transport.write(data)
        if transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            self.lost("it does not read its requests")

    def _sweep(self) -> None:
        self._sweeping = False
        now = self._clock.now()
        if now - self._swept_at > OWN_STALL_S:
            # This process was paused: it has not yet read the frames that peers sent meanwhile.
            self._received_at = max(self._received_at, now)
        self._swept_at = now
        silent = []
        longest = 0.0
        for correlation, (_, sent, deadline, timeout_s) in self._waiting.items():
            waited = now - sent
            quiet = min(waited, now - self._received_at)
            longest = max(longest, quiet)
            if quiet >= timeout_s or waited >= timeout_s * HARD_TIMEOUT_FACTOR or now >= deadline:
                silent.append(correlation)
                if quiet >= timeout_s and self._condition is Condition.UP:
                    self._believe(Condition.SUSPECT, self._voting)
        for correlation in silent:
            future = self._waiting.pop(correlation)[0]
            if not future.done():
                future.set_exception(Silent(f"{self.name} did not reply"))
        if (
            longest >= PROBE_AFTER_S
            and self._pinged_at <= self._received_at
            and self.transport is not None
        ):
            # Between pings an idle peer sends nothing, and that is not yet silence.
            self._ping(now)
        if self._waiting and not self._sweeping:
            self._sweeping = True
            self._loop.call_later(SWEEP_INTERVAL_S, self._sweep)

    def received(self, data: bytes, reader: FrameReader[Reply]) -> None:
        """Process bytes from the node. Raises `DamagedFrame`."""
        now = self._received_at = self._clock.now()
        if self._condition is Condition.SUSPECT:
            self._believe(Condition.UP, self._voting)
        pop, newest = self._waiting.pop, None
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
            self._peer_clock.observe(newest, now)

    def lost(self, reason: str) -> None:
        """Drop the connection and end its requests as `Silent`."""
        transport, self.transport = self.transport, None
        self._disk = DiskState.HEALTHY
        self._believe(Condition.DOWN, voting=False)
        self._peer_clock.reset()
        self._out.clear()
        if transport is not None:
            transport.abort()
        self._give_up(Silent(f"lost {self.name}: {reason}"))

    def _give_up(self, reason: Silent) -> None:
        """End every request in flight."""
        waiting, self._waiting = self._waiting, {}
        for future, *_ in waiting.values():
            if not future.done():
                future.set_exception(reason)
                # A caller that has given up does not read the exception; asyncio would log it.
                future.exception()

    def _noticed(self, notice: DiskNotice) -> None:
        self._disk = notice.disk
        self._believe(self._condition, self._voting)
        if notice.give_up:
            self._give_up(Silent(f"the disk of {self.name} is {notice.disk.name.lower()}"))

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
        self._nudged.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._nudged.wait()
        except TimeoutError:
            pass  # The node has not connected to this process: try again.

    async def _connect(self) -> None:
        self._peer_clock.reset()
        self.transport = await self._opened()
        self._received_at = self._clock.now()
        greeting: asyncio.Future[Reply] = self._loop.create_future()
        # The callee's clock has no bound yet. A Hello that arrives late does no harm.
        self._send(self._hello, greeting, self._received_at + RECONNECT_AFTER_S, RECONNECT_AFTER_S)
        welcome = await greeting
        if self.transport is None:
            raise Unreachable("the connection was lost during the handshake")
        objection = self._greeted(welcome) if isinstance(welcome, Welcome | Unwelcome) else ""
        if isinstance(welcome, Unwelcome):
            self._complain(f"{self.name} refuses this process: {welcome.reason}")
            raise Unreachable(welcome.reason)
        if not isinstance(welcome, Welcome) or welcome.name != self.name:
            self._complain(
                f"the process at {self._host.name}:{self._port} is not {self.name}, which counts as"
                " down meanwhile. No data is affected. Correct the list of nodes or the ports"
            )
            raise Unreachable("another process than expected")
        if objection:
            self._complain(objection)
            raise Unreachable(objection)
        self._believe(Condition.UP, self._voting)

    async def _opened(self) -> asyncio.Transport:
        """Connect to the first of the host's addresses that accepts. Raises `OSError`."""
        refusal = OSError(f"{self._host.name} has no address")
        for address in await self._host.addresses():
            try:
                transport, _ = await self._loop.create_connection(
                    lambda: _Calling(self), address, self._port
                )
            except OSError as error:
                refusal = error
            else:
                return transport
        raise refusal

    def _complain(self, complaint: str) -> None:
        if complaint and complaint != self._complaint:
            log.warning("%s", complaint, extra=cause(f"link to {self.name}"))
        self._complaint = complaint

    async def _watch(self) -> None:
        """Ping until the connection is lost or silent for too long. Raises `Silent`."""
        while self.transport is not None:
            now = self._clock.now()
            if now - self._received_at >= RECONNECT_AFTER_S:
                raise Silent("silent")
            if now - self._received_at >= SUSPECT_AFTER_S and self._condition is Condition.UP:
                self._believe(Condition.SUSPECT, self._voting)
            self._ping(now)
            await asyncio.sleep(PING_INTERVAL_S)

    def _ping(self, now: float) -> None:
        self._pinged_at = now
        pong: asyncio.Future[Reply] = self._loop.create_future()
        pong.add_done_callback(self._ponged)
        self._send(Ping(), pong, now + RECONNECT_AFTER_S, RECONNECT_AFTER_S)

    def _ponged(self, pong: asyncio.Future[Reply]) -> None:
        if not pong.cancelled() and pong.exception() is None and self.transport is not None:
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
        if link.transport not in (None, self._transport):
            return
        try:
            link.received(data, self._reader)
        except DamagedFrame as error:
            link.lost(f"damaged frame: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        if self._link.transport in (None, self._transport):
            self._link.lost(str(exc or "closed by peer"))
