"""How the system shares its processors among the processes that exchange messages."""

import logging
import os

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
