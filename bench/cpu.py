"""The CPU time of a system's processes, from /proc."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
"""Clock ticks per second; /proc counts CPU time in ticks."""
PAGE = os.sysconf("SC_PAGE_SIZE")
"""Bytes of a memory page."""
PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Process:
    """The figures of /proc/PID/stat: one process, all threads together."""

    pid: int
    parent: int
    name: str
    user: float
    """Seconds of CPU in user mode."""
    system: float
    """Seconds of CPU in the kernel."""
    ended_children: float
    """Seconds of CPU of the ended children that this process has waited for."""
    resident: int
    """Bytes of memory, shared pages included."""

    @property
    def own(self) -> float:
        """Seconds of CPU without those of children."""
        return self.user + self.system


def parse_stat(text: str) -> Process:
    """Parse the line of /proc/PID/stat (proc(5)). Raises `ValueError`."""
    pid, _, remainder = text.partition(" (")
    # The name may contain spaces and brackets; the last bracket ends it.
    name, _, remainder = remainder.rpartition(")")
    fields = remainder.split()
    ticks = [int(field) for field in fields[11:15]]
    return Process(
        int(pid),
        int(fields[1]),
        name,
        ticks[0] / TICKS,
        ticks[1] / TICKS,
        (ticks[2] + ticks[3]) / TICKS,
        int(fields[21]) * PAGE,
    )


def processes(proc: Path = PROC) -> list[Process]:
    """Return every process of the machine."""
    found = []
    for entry in proc.iterdir():
        if entry.name.isdigit():
            try:
                found.append(parse_stat((entry / "stat").read_text()))
            except (FileNotFoundError, ProcessLookupError):
                pass  # The process has ended since the listing.
    return found


def threads(pid: int, proc: Path = PROC) -> list[Process]:
    """Return every thread of a process, the main thread first."""
    tasks = sorted(int(task.name) for task in (proc / str(pid) / "task").iterdir())
    return [
        parse_stat((proc / str(pid) / "task" / str(task) / "stat").read_text()) for task in tasks
    ]


def family(roots: Iterable[int], candidates: Iterable[Process]) -> list[Process]:
    """Return the processes `roots` and all their descendants among `candidates`."""
    members = set(roots)
    others = [process for process in candidates if process.pid not in members]
    found = [process for process in candidates if process.pid in members]
    while True:
        children = [process for process in others if process.parent in members]
        if not children:
            return found
        found += children
        members.update(process.pid for process in children)
        others = [process for process in others if process.pid not in members]


def used(roots: Iterable[int], proc: Path = PROC) -> float:
    """Return the seconds of CPU of a system since its start.

    The kernel adds an ended child's CPU time to the parent that waits for it. The sum therefore
    never shrinks, and counts every descendant.
    """
    return sum(process.own + process.ended_children for process in family(roots, processes(proc)))


def busy(proc: Path = PROC) -> float:
    """Return the seconds of CPU of the whole machine since its start."""
    fields = [int(field) for field in (proc / "stat").read_text().partition("\n")[0].split()[1:]]
    # user, nice, system, idle, waiting for a disk, interrupts, soft interrupts (proc(5)).
    return (sum(fields[:3]) + sum(fields[5:7])) / TICKS


def memory(pid: int, proc: Path = PROC) -> int:
    """Return the bytes of memory of one process (PSS).

    A page that N processes share counts as 1/N.
    """
    for line in (proc / str(pid) / "smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0
