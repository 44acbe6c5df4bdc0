"""How the system shares its processors among those that answer, and those that tidy up."""

import logging
import os
from pathlib import Path

log = logging.getLogger(__name__)


def in_batches() -> None:
    """Ask that this process, when a message wakes it, let whoever runs go on for a moment.

    By then more messages have come, and one wake-up serves them all: measured with all of a
    cluster on two processors, 3 to 5 % of the CPU time of every operation. A matter of speed
    alone: where the system has no such policy (`man 7 sched`, SCHED_BATCH), nothing changes.
    """
    if not hasattr(os, "SCHED_BATCH") or not hasattr(os, "sched_setscheduler"):
        return
    try:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    except OSError as error:
        log.info("the system does not let this process choose its scheduling: %s", error)


def in_background(threads: str, nice: int) -> None:
    """Let this process's threads of that name have less of a processor that others want.

    `nice` as in `man 7 sched`: at 5 a thread gets a quarter of a processor that one other wants,
    and all of one that nobody does. Where the system has no /proc, nothing changes.
    """
    for task in Path("/proc/self/task").glob("[0-9]*"):
        try:
            if (task / "comm").read_text().strip() == threads:
                os.setpriority(os.PRIO_PROCESS, int(task.name), nice)
        except OSError as error:
            # It has ended since, or the system does not allow it.
            log.info("thread %s keeps its priority: %s", task.name, error)
