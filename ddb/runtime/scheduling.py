"""Scheduling policies: requests before background work.

Both policies concern speed alone. A system without them, or one that refuses them, changes nothing
else.
"""

import logging
import os
from pathlib import Path

log = logging.getLogger(__name__)


def schedule_in_batches() -> None:
    """Ask the system not to preempt others when a message wakes this process.

    Further messages arrive meanwhile, and one wake-up serves all of them. With a whole cluster on
    two processors, this saves 3 to 5 % of the CPU time of every operation. The policy is
    SCHED_BATCH (`man 7 sched`).
    """
    if not hasattr(os, "SCHED_BATCH") or not hasattr(os, "sched_setscheduler"):
        return
    try:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    except OSError as error:
        log.info(
            "the system refuses the scheduling policy SCHED_BATCH: %s. No data is affected;"
            " requests may need up to 5 %% more CPU time. Nothing needs to be done",
            error,
        )


def schedule_in_background(threads: str) -> None:
    """Let the threads with this name run on idle processors only.

    The policy is SCHED_IDLE (`man 7 sched`): next to one other thread, such a thread gets a
    three-hundredth of a processor. A nice value does not suffice. A process under SCHED_BATCH waits
    for the running thread's tick to end, unless that thread is idle. The policy compares threads of
    one control group, so it does not change the shares of containers. It needs /proc.
    """
    if not hasattr(os, "SCHED_IDLE") or not hasattr(os, "sched_setscheduler"):
        return
    for task in Path("/proc/self/task").glob("[0-9]*"):
        try:
            if (task / "comm").read_text().strip() == threads:
                os.sched_setscheduler(int(task.name), os.SCHED_IDLE, os.sched_param(0))
        except OSError as error:
            # The thread has ended, or the system refuses the policy.
            log.info(
                "thread %s keeps its priority: %s. No data is affected; background work may delay"
                " requests. Nothing needs to be done",
                task.name,
                error,
            )
