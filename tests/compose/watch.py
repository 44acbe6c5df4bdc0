"""Whether the machine ran the containers: sleepers among them, beside those outside.

An engine's containers together may have the claim to the processors that one process outside has.
On a machine that does other things too they then stand still while those outside do not.
"""

import os
import subprocess
from pathlib import Path

from tests.faults import watchdog as outside
from tests.faults.watchdog import Watchdog

SOURCE = Path(outside.__file__).read_text(encoding="utf-8")


def watching() -> Watchdog:
    """A watchdog that has started, inside and outside."""
    watchdog = Watchdog()
    watchdog.start()
    confined = ("--rm", "--init", "--network", "none", "--entrypoint", "python")
    for processor in sorted(os.sched_getaffinity(0)):
        watchdog._processes.append(
            subprocess.Popen(
                ["docker", "run", *confined, "ddb-db", "-c", SOURCE, str(processor)],
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    return watchdog
