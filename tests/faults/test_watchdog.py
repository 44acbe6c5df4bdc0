"""The watchdog itself: it finds the stalls of a machine that has too few processors."""

import os
import subprocess
import sys
import time

from tests.faults.watchdog import Watchdog, queue_reader

COMPUTES = "while True: pass"
WATCHED_S = 2.0
COMPETITORS = 4
MIN_WAITED_S = 0.2
"""Lower: chance alone reaches it. Higher: an early end of a turn fails the test."""


def test_a_process_that_waits_for_a_processor_is_seen() -> None:
    """The watchdog reports a stall while a node is ready to run and other processes run."""
    program = [sys.executable, "-c", COMPUTES]
    commands = [[*program, "ddb", "node"], *[program] * COMPETITORS]
    watchdog = Watchdog([queue_reader()])
    processes = [subprocess.Popen(command) for command in commands]
    try:
        processor = min(os.sched_getaffinity(0))
        for process in processes:
            os.sched_setaffinity(process.pid, {processor})
        watchdog.start()
        began = time.monotonic()
        time.sleep(WATCHED_S)
        ended = time.monotonic()
        watchdog.stop()
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert watchdog.within(began, ended) > MIN_WAITED_S
