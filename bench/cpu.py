"""How much processor time the processes of a system have used, from /proc."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Process:
    """What /proc/PID/stat tells of one process, all its threads together."""

    pid: int
    parent: int
    name: str
    user: float
    """Seconds in user mode."""
    system: float
    """Seconds in the kernel."""
    ended_children: float
    """The same of children that have ended and been waited for."""
    resident: int
    """Bytes of memory, shared pages included."""

    @property
    def own(self) -> float:
        """Seconds of its own."""
        return self.user + self.system


def parse_stat(text: str) -> Process:
    """Read the one line of /proc/PID/stat (proc(5)). Raises ValueError."""
    pid, _, rest = text.partition(" (")
    # The name may itself hold spaces and brackets; the last bracket ends it.
    name, _, rest = rest.rpartition(")")
    fields = rest.split()
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
    """Every process there is."""
    found = []
    for entry in proc.iterdir():
        if entry.name.isdigit():
            try:
                found.append(parse_stat((entry / "stat").read_text()))
            except (FileNotFoundError, ProcessLookupError):
                pass  # It has ended meanwhile.
    return found


def threads(pid: int, proc: Path = PROC) -> list[Process]:
    """Every thread of a process, the first one first, each with what it alone has used."""
    tasks = sorted(int(task.name) for task in (proc / str(pid) / "task").iterdir())
    return [
        parse_stat((proc / str(pid) / "task" / str(task) / "stat").read_text()) for task in tasks
    ]


def family(roots: Iterable[int], everybody: Iterable[Process]) -> list[Process]:
    """The processes `roots` and all their descendants."""
    members = set(roots)
    waiting = [process for process in everybody if process.pid not in members]
    found = [process for process in everybody if process.pid in members]
    while True:
        born = [process for process in waiting if process.parent in members]
        if not born:
            return found
        found += born
        members.update(process.pid for process in born)
        waiting = [process for process in waiting if process.pid not in members]


def used(roots: Iterable[int], proc: Path = PROC) -> float:
    """Seconds of processor time that a system has used since its start.

    A process that ends hands what it used to the parent that waits for it, so the sum over the
    family never shrinks and misses nobody.
    """
    return sum(process.own + process.ended_children for process in family(roots, processes(proc)))


def busy(proc: Path = PROC) -> float:
    """Seconds that all processors together have worked since the machine's start."""
    fields = [int(field) for field in (proc / "stat").read_text().partition("\n")[0].split()[1:]]
    # user, nice, system, then idle and waiting for a disk, then interrupts (proc(5)).
    return (sum(fields[:3]) + sum(fields[5:7])) / TICKS


def memory(pid: int, proc: Path = PROC) -> int:
    """Bytes of memory of one process, pages shared with others by their share."""
    for line in (proc / str(pid) / "smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0
