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


def in_background(threads: str) -> None:
    """Let this process's threads of that name run while a processor has next to nothing else to do.

    That is SCHED_IDLE of `man 7 sched`: beside one other thread it has a three-hundredth of a
    processor. To be merely nice would not do: a process of `in_batches` that wakes up lets whoever
    runs go on to the end of its tick, unless that one is idle. It concerns the threads of one
    control group, so between containers the system shares as it always does. Where it has no such
    policy, or no /proc, nothing changes.
    """
    if not hasattr(os, "SCHED_IDLE") or not hasattr(os, "sched_setscheduler"):
        return
    for task in Path("/proc/self/task").glob("[0-9]*"):
        try:
            if (task / "comm").read_text().strip() == threads:
                os.sched_setscheduler(int(task.name), os.SCHED_IDLE, os.sched_param(0))
        except OSError as error:
            # It has ended since, or the system does not allow it.
            log.info("thread %s keeps its priority: %s", task.name, error)
