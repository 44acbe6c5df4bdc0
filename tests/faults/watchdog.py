"""The time during which the machine itself stood still: its processors, or its disk.

One sleeper per processor records when it wakes late. The scheduler prefers a process that has slept
to processes that have computed. So a busy cluster hardly ever delays a sleeper. A hypervisor that
takes the processor away does, and so does a machine with far too few processors.

One flusher writes a little, as a node does, and records slow flushes. A disk that other
machines share sometimes needs half a second for a few hundred bytes.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

SLEEP_S = 0.002
"""Too low: sleepers load the machine. Too high: they miss short stalls."""
FLUSH_PAUSE_S = 0.010
"""Too low: the flusher loads the disk. Too high: it misses short stalls."""
MIN_STALL_S = 0.010
"""Too low: the scheduler's normal delays count as stalls. Too high: real stalls are missed."""
MAX_STALL_SHARE = 0.02
"""Share of the run. Too low: no run is judged. Too high: stalls of the machine fail a run."""
_FLUSHED_BYTES = bytes(500)


def sleepers(program: Sequence[str] = ()) -> list[list[str]]:
    """Return the commands that watch the processors of this process, one each.

    Args:
        program: runs this file in another place, such as a container; by default this interpreter.
    """
    return [
        [*(program or _here()), "processor", str(processor)]
        for processor in sorted(os.sched_getaffinity(0))
    ]


def flusher(directory: Path, program: Sequence[str] = ()) -> list[str]:
    """Return the command that watches the disk of `directory`; it leaves a small file there.

    Args:
        program: as for `sleepers`.
    """
    return [*(program or _here()), "disk", str(directory)]


class Watchdog:
    """Watchers in separate processes, from `start` until `stop`."""

    def __init__(self, commands: Sequence[Sequence[str]]) -> None:
        """Prepare the watchers. `commands` come from `sleepers` and `flusher`."""
        self.stalls: list[tuple[float, float]] = []
        """The start and end of each stall, on `time.monotonic`; merged, in order."""
        self._commands = commands
        self._processes: list[subprocess.Popen[str]] = []
        self._flushes: list[float] = []
        self._began = self._ended = time.monotonic()

    def start(self) -> None:
        """Start the watchers."""
        self._began = time.monotonic()
        self._processes += [
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            for command in self._commands
        ]

    def stop(self) -> None:
        """End the watchers and collect their stalls."""
        self._ended = time.monotonic()
        stalls: list[tuple[float, float]] = []
        for process in self._processes:
            process.terminate()
            output, _ = process.communicate(timeout=10)
            for line in output.splitlines():
                kind, due, done = line.split()
                stalls.append((float(due), float(done)))
                if kind == "disk":
                    self._flushes.append(float(done) - float(due))
        self._processes.clear()
        for start, end in sorted(stalls):
            if self.stalls and start <= self.stalls[-1][1]:
                self.stalls[-1] = (self.stalls[-1][0], max(end, self.stalls[-1][1]))
            else:
                self.stalls.append((start, end))

    def within(self, start: float, end: float) -> float:
        """Return the seconds for which the machine stood still between two moments."""
        return sum(
            max(0.0, min(end, stall_end) - max(start, stall_start))
            for stall_start, stall_end in self.stalls
        )

    @property
    def fit(self) -> bool:
        """True if latencies show the cluster; False if the machine stood still for too long."""
        stood = sum(end - start for start, end in self.stalls)
        return stood <= MAX_STALL_SHARE * (self._ended - self._began)

    def __repr__(self) -> str:
        lengths = [end - start for start, end in self.stalls]
        return (
            f"<Watchdog {len(lengths)} stalls of {MIN_STALL_S * 1000:.0f} ms and more,"
            f" worst {max(lengths, default=0.0) * 1000:.0f} ms, {sum(lengths):.2f} s in total; of"
            f" the disk {len(self._flushes)}, worst {max(self._flushes, default=0.0) * 1000:.0f} ms"
            f"{'' if self.fit else ': too much to judge latencies'}>"
        )


def _here() -> Sequence[str]:
    # In a function, because `__file__` is missing where a container's interpreter runs this text.
    return (sys.executable, __file__)


def _watch_processor(processor: int) -> None:
    os.sched_setaffinity(0, {processor})
    while True:
        due = time.monotonic() + SLEEP_S
        time.sleep(SLEEP_S)
        _report("processor", due)


def _watch_disk(directory: Path) -> None:
    with (directory / f"flushed-by-{os.getpid()}").open("ab", buffering=0) as file:
        while True:
            time.sleep(FLUSH_PAUSE_S)
            began = time.monotonic()
            file.write(_FLUSHED_BYTES)
            os.fdatasync(file.fileno())
            _report("disk", began)


def _report(kind: str, due: float) -> None:
    done = time.monotonic()
    if done - due >= MIN_STALL_S:
        # One write per line, also with PYTHONUNBUFFERED: `stop` may end this process at any moment.
        print(f"{kind} {due} {done}\n", end="", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "processor":
        _watch_processor(int(sys.argv[2]))
    else:
        _watch_disk(Path(sys.argv[2]))
