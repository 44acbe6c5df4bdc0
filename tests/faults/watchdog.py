"""How long this machine itself stood still: its processors, or its disk.

A sleeper per processor notes when it overslept. A process that has slept is served before those
that have computed, so it oversleeps when the machine does not run its processors, or has far too
few for everything on it, and hardly ever because the cluster is busy. A flusher writes a little as
a node does, and notes when the disk took long over it: a disk shared with other machines now and
then takes half a second over a few hundred bytes, whoever wrote them.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

NAP = 0.002
FLUSH_NAP = 0.010
WORTH_NOTING = 0.010
MOST_STOOD = 0.02
"""Share of the time for which the machine may have stood still where time is to be judged."""
_LITTLE = bytes(500)


def sleepers(program: Sequence[str] = ()) -> list[list[str]]:
    """Commands that watch the processors this process may run on.

    `program` runs this file's text where it is to watch elsewhere; this interpreter by default.
    """
    return [
        [*(program or _here()), "processor", str(processor)]
        for processor in sorted(os.sched_getaffinity(0))
    ]


def flusher(directory: Path, program: Sequence[str] = ()) -> list[str]:
    """The command that watches the disk which holds `directory`, and leaves a small file there.

    `program` as for `sleepers`.
    """
    return [*(program or _here()), "disk", str(directory)]


class Watchdog:
    """Watchers in processes of their own, from `start` until `stop`."""

    def __init__(self, commands: Sequence[Sequence[str]]) -> None:
        """`commands` are those of `sleepers` and `flusher`."""
        self.stalls: list[tuple[float, float]] = []
        """From when to when something stood still, on `time.monotonic`; merged, in order."""
        self._commands = commands
        self._processes: list[subprocess.Popen[str]] = []
        self._flushes: list[float] = []
        self._began = self._ended = time.monotonic()

    def start(self) -> None:
        """Begin to watch."""
        self._began = time.monotonic()
        self._processes += [
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            for command in self._commands
        ]

    def stop(self) -> None:
        """End the watchers and take down what they noted."""
        self._ended = time.monotonic()
        noted: list[tuple[float, float]] = []
        for process in self._processes:
            process.terminate()
            said, _ = process.communicate(timeout=10)
            for line in said.splitlines():
                what, due, done = line.split()
                noted.append((float(due), float(done)))
                if what == "disk":
                    self._flushes.append(float(done) - float(due))
        self._processes.clear()
        for start, end in sorted(noted):
            if self.stalls and start <= self.stalls[-1][1]:
                self.stalls[-1] = (self.stalls[-1][0], max(end, self.stalls[-1][1]))
            else:
                self.stalls.append((start, end))

    def within(self, start: float, end: float) -> float:
        """Seconds between two moments during which the machine stood still."""
        return sum(
            max(0.0, min(end, stall_end) - max(start, stall_start))
            for stall_start, stall_end in self.stalls
        )

    @property
    def fit(self) -> bool:
        """Whether on this machine it is the cluster that decides how soon answers come."""
        stood = sum(end - start for start, end in self.stalls)
        return stood <= MOST_STOOD * (self._ended - self._began)

    def __repr__(self) -> str:
        lengths = [end - start for start, end in self.stalls]
        return (
            f"<Watchdog {len(lengths)} stalls of {WORTH_NOTING * 1000:.0f} ms and more,"
            f" worst {max(lengths, default=0.0) * 1000:.0f} ms, {sum(lengths):.2f} s together; of"
            f" the disk {len(self._flushes)}, worst {max(self._flushes, default=0.0) * 1000:.0f} ms"
            f"{'' if self.fit else ': too much to judge how soon answers come'}>"
        )


def _here() -> Sequence[str]:
    # Asked for when wanted: the text has no file where a container's interpreter is given it.
    return (sys.executable, __file__)


def _watch_processor(processor: int) -> None:
    os.sched_setaffinity(0, {processor})
    while True:
        due = time.monotonic() + NAP
        time.sleep(NAP)
        _note("processor", due)


def _watch_disk(directory: Path) -> None:
    with (directory / f"flushed-by-{os.getpid()}").open("ab", buffering=0) as file:
        while True:
            time.sleep(FLUSH_NAP)
            began = time.monotonic()
            file.write(_LITTLE)
            os.fdatasync(file.fileno())
            _note("disk", began)


def _note(what: str, due: float) -> None:
    done = time.monotonic()
    if done - due >= WORTH_NOTING:
        print(what, due, done, flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "processor":
        _watch_processor(int(sys.argv[2]))
    else:
        _watch_disk(Path(sys.argv[2]))
