"""The time during which the machine itself stood still: its processors, or its disk.

One reader adds the time for which a process of ddb was ready to run and had no processor. The
kernel counts it per thread (`/proc/PID/schedstat`, in kernels with `CONFIG_SCHED_INFO`). An engine
that starts a container makes all of them wait, some for 100 ms.

One sleeper per processor records when it wakes late. The scheduler prefers a process that has slept
to processes that have computed. So a busy cluster hardly ever delays a sleeper. A hypervisor that
takes the processor away does, and so does a machine with far too few processors.

One flusher writes a little, as a node does, and records slow flushes. A disk that other
machines share sometimes needs half a second for a few hundred bytes.
"""

import itertools
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
QUEUE_PAUSE_S = 0.005
"""Too low: the reader loads the machine. Too high: it misplaces a stall by as much."""
DISCOVERY_INTERVAL_S = 0.25
"""Too low: the search for processes loads the machine. Too high: it misses those that start."""
MIN_STALL_S = 0.010
"""Too low: the scheduler's normal delays count as stalls. Too high: real stalls are missed."""
MAX_STALL_SHARE = 0.10
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


def queue_reader() -> list[str]:
    """Return the command that watches how long processes of ddb wait for a processor."""
    return [*_here(), "queue"]


class Watchdog:
    """Watchers in separate processes, from `start` until `stop`."""

    def __init__(self, commands: Sequence[Sequence[str]]) -> None:
        """Prepare the watchers. `commands` come from the functions above."""
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


def _watch_queues() -> None:
    """Report the waits of each process's main thread; RocksDB's own threads may wait for long."""
    waited: dict[int, float] = {}
    search_at = time.monotonic()
    while True:
        now = time.monotonic()
        if now >= search_at:
            search_at = now + DISCOVERY_INTERVAL_S
            waited = {process: waited.get(process, _queued_s(process)) for process in _processes()}
        for process, before in waited.items():
            after = waited[process] = _queued_s(process)
            if after - before >= MIN_STALL_S:
                _report("queue", time.monotonic() - (after - before))
        time.sleep(QUEUE_PAUSE_S)


def _processes() -> list[int]:
    """Return the processes of ddb's nodes and gateways that this process can see."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue  # It has ended.
        # `ddb node` and `-m ddb node`. The init of a container matches, too; it sleeps.
        for program, command in itertools.pairwise(arguments):
            if program.rpartition(b"/")[2] == b"ddb" and command in (b"node", b"gateway"):
                found.append(int(path.parent.name))
                break
    return found


def _queued_s(process: int) -> float:
    """Return how long the main thread of a process has waited for a processor since its start."""
    try:
        return int(Path("/proc", str(process), "schedstat").read_bytes().split()[1]) / 1e9
    except (FileNotFoundError, ProcessLookupError):
        return 0.0  # It has ended, or this kernel does not count.


def _report(kind: str, due: float) -> None:
    done = time.monotonic()
    if done - due >= MIN_STALL_S:
        # One write per line, also with PYTHONUNBUFFERED: `stop` may end this process at any moment.
        print(f"{kind} {due} {done}\n", end="", flush=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["processor", number]:
            _watch_processor(int(number))
        case ["disk", directory]:
            _watch_disk(Path(directory))
        case ["queue"]:
            _watch_queues()
