"""One process of a local cluster, and the signals that act on it."""

import asyncio
import signal
from collections import deque
from enum import Enum
from pathlib import Path

from ddb.runtime.log_file import shift

_LOG_TAIL_LINES = 12
"""Too low: the error itself is cut off. Too high: the tail fills the terminal."""
_STATE_POLL_S = 0.02
"""Too low: polling loads the machine. Too high: `ddb pause` returns late."""
_SIGNAL_TIMEOUT_S = 2.0
"""Too low: `ddb pause` fails on a busy machine. Too high: it reports a failure late."""


class ProcessState(Enum):
    """The state of a process, as the operating system reports it."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"


class Child:
    """A process that can be started many times under one name."""

    def __init__(self, name: str, command: list[str], log: Path) -> None:
        self.name = name
        self.log = log
        self.busy = asyncio.Lock()
        """Serializes the commands that act on this child."""
        self.end_expected = False
        """True once a user or the supervisor has requested the end; False for a crash."""
        self._command = command
        self._process: asyncio.subprocess.Process | None = None
        self._last_signal: signal.Signals | None = None

    @property
    def pid(self) -> int | None:
        """The process id, or None if no process runs."""
        return self._process.pid if self._process and self._process.returncode is None else None

    def alive(self) -> bool:
        """Return whether the process exists, running or paused."""
        return self.pid is not None

    @property
    def state(self) -> ProcessState:
        """The state now, also after a signal from another program."""
        pid = self.pid
        if pid is None:
            return ProcessState.STOPPED
        paused = _is_paused(pid)
        if paused is None:  # Without /proc the last signal decides.
            paused = self._last_signal is signal.SIGSTOP
        return ProcessState.PAUSED if paused else ProcessState.RUNNING

    async def spawn(self, stdin: int) -> None:
        """Start the process.

        Args:
            stdin: the read end of a pipe; the process exits when the write end closes.
        """
        shift(self.log)
        self.end_expected = False
        # The child reopens the log and rotates it later: see `ddb.runtime.log_file`.
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=stdin,
                stdout=log,
                stderr=log,
                # Its own process group shields the child from the terminal's Ctrl-C. A paused child
                # cannot notice the closed pipe. It stays in the supervisor's session, so the kernel
                # wakes and ends it when the supervisor is killed.
                process_group=0,
            )

    async def wait(self) -> int:
        """Wait until the process ends; return its exit code (negative: the signal)."""
        return await self._process.wait() if self._process else 0

    async def ends_within(self, timeout_s: float) -> bool:
        """Wait for the end; return False on timeout."""
        try:
            await asyncio.wait_for(self.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    def end(self, number: signal.Signals) -> None:
        """Send a signal that ends the process, and wake a paused one so that it acts on it."""
        self.end_expected = True
        self._send(number)
        self._send(signal.SIGCONT)

    async def pause(self) -> bool:
        """Send SIGSTOP; return whether the process paused in time."""
        self._send(signal.SIGSTOP)
        return await self._reaches(ProcessState.PAUSED)

    async def resume(self) -> bool:
        """Send SIGCONT; return whether the process runs again in time."""
        self._send(signal.SIGCONT)
        return await self._reaches(ProcessState.RUNNING)

    def log_tail(self) -> str:
        """Return the last lines of the log, indented."""
        with self.log.open(encoding="utf-8", errors="replace") as log:
            lines = deque(log, _LOG_TAIL_LINES)
        return "".join(f"    {line.rstrip()}\n" for line in lines).rstrip()

    def _send(self, number: signal.Signals) -> None:
        if self._process and self._process.returncode is None:
            try:
                self._process.send_signal(number)
                self._last_signal = number
            except ProcessLookupError:
                pass  # The process has just ended; `wait` returns its exit code.

    async def _reaches(self, state: ProcessState) -> bool:
        for _ in range(round(_SIGNAL_TIMEOUT_S / _STATE_POLL_S)):
            if self.state is state:
                return True
            await asyncio.sleep(_STATE_POLL_S)
        return False

    def __repr__(self) -> str:
        return f"<Child {self.name}, {self.state.value}, pid {self.pid}>"


def _is_paused(pid: int) -> bool | None:
    """Return whether a process is paused, or None on a machine without /proc."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False if Path("/proc/self").exists() else None
    # The command's name, in parentheses, may contain parentheses and spaces.
    return stat.rpartition(b")")[2].split()[0] in (b"T", b"t")
