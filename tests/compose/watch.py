"""A watchdog for stalls inside and outside of containers.

An engine may give all containers together as much CPU as one process outside. On a busy machine
the containers then stall while other processes run. The engine may also keep its volumes on another
disk. The reader of queues finds the containers' processes where the engine runs on this machine.
"""

from pathlib import Path

from tests.faults import watchdog as outside
from tests.faults.watchdog import Watchdog, flusher, queue_reader, sleepers

SOURCE = Path(outside.__file__).read_text(encoding="utf-8")
VOLUME = Path("/data")
"""The mount of a container's volume; `docker run --rm` removes the volume with the container."""


def watching() -> Watchdog:
    """Start a watchdog inside and outside of containers."""
    confined = ("docker", "run", "--rm", "--init", "--network", "none", "--entrypoint", "python")
    inside = (*confined, "ddb-db", "-c", SOURCE)
    outer = (*sleepers(), queue_reader())
    watchdog = Watchdog([*outer, *sleepers(inside), flusher(VOLUME, inside)])
    watchdog.start()
    return watchdog
