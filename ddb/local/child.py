"""One process of a local cluster, and what can be done to it."""

import asyncio
import signal
from collections import deque
from enum import Enum
from pathlib import Path

from ddb.runtime.log_file import shift

_TAIL = 12
_MOMENT = 0.02
_SIGNAL_TAKES = 2.0


class Process(Enum):
    """What the operating system makes of a process."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"


class Child:
    """A process that can be started again and again under one name."""

    def __init__(self, name: str, command: list[str], log: Path) -> None:
        self.name = name
        self.log = log
        self.busy = asyncio.Lock()
        """Held while something is done to this child."""
        self.expected = False
        """Whether somebody has asked for this child's end."""
        self._command = command
        self._process: asyncio.subprocess.Process | None = None
        self._last_sent: signal.Signals | None = None

    @property
    def pid(self) -> int | None:
        """The process id while there is a process."""
        return self._process.pid if self._process and self._process.returncode is None else None

    def alive(self) -> bool:
        """Whether there is a process."""
        return self.pid is not None

    @property
    def state(self) -> Process:
        """As the operating system sees it, whoever sent the signal."""
        pid = self.pid
        if pid is None:
            return Process.STOPPED
        paused = _paused(pid)
        if paused is None:  # No /proc here: go by what was done last.
            paused = self._last_sent is signal.SIGSTOP
        return Process.PAUSED if paused else Process.RUNNING

    async def spawn(self, lifeline: int) -> None:
        """Start it. It ends itself when the other end of `lifeline`, a pipe, is closed."""
        shift(self.log)
        self.expected = False
        # The child opens the file again, and begins new ones in time: see `ddb.runtime.log_file`.
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=lifeline,
                stdout=log,
                stderr=log,
                # A group of its own keeps the terminal's Ctrl-C away: the supervisor says when.
                # Of the same session, so that if the supervisor is killed the kernel wakes
                # and ends a paused child, which could not notice the closed pipe.
                process_group=0,
            )

    async def ended(self) -> int:
        """Wait for the end of the process and return its exit code (negative: the signal)."""
        return await self._process.wait() if self._process else 0

    async def ended_within(self, seconds: float) -> bool:
        """Whether the process ends in that time."""
        try:
            await asyncio.wait_for(self.ended(), seconds)
        except TimeoutError:
            return False
        return True

    def end(self, number: signal.Signals) -> None:
        """Send a signal that ends the process, waking it to hear it."""
        self.expected = True
        self._send(number)
        self._send(signal.SIGCONT)

    async def pause(self) -> bool:
        """Whether SIGSTOP took effect."""
        self._send(signal.SIGSTOP)
        return await self._becomes(Process.PAUSED)

    async def resume(self) -> bool:
        """Whether SIGCONT took effect."""
        self._send(signal.SIGCONT)
        return await self._becomes(Process.RUNNING)

    def last_words(self) -> str:
        """The end of what the process has written, indented."""
        with self.log.open(encoding="utf-8", errors="replace") as log:
            return "".join(f"    {line.rstrip()}\n" for line in deque(log, _TAIL)).rstrip()

    def _send(self, number: signal.Signals) -> None:
        if self._process and self._process.returncode is None:
            try:
                self._process.send_signal(number)
                self._last_sent = number
            except ProcessLookupError:
                pass  # It ended just now; `ended` tells.

    async def _becomes(self, state: Process) -> bool:
        for _ in range(round(_SIGNAL_TAKES / _MOMENT)):
            if self.state is state:
                return True
            await asyncio.sleep(_MOMENT)
        return False


def _paused(pid: int) -> bool | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False if Path("/proc/self").exists() else None
    # The command's name, in brackets, may itself hold brackets and spaces.
    return stat.rpartition(b")")[2].split()[0] in (b"T", b"t")
