"""Whether the machine served the containers: watchers among them, beside those outside.

An engine's containers together may have the claim to the processors that one process outside has.
On a machine that does other things too they then stand still while those outside do not. And the
engine may keep its volumes on a disk of its own.
"""

from pathlib import Path

from tests.faults import watchdog as outside
from tests.faults.watchdog import Watchdog, flusher, sleepers

SOURCE = Path(outside.__file__).read_text(encoding="utf-8")
VOLUME = Path("/data")
"""Where a container of the image has a volume, which goes with it."""


def watching() -> Watchdog:
    """A watchdog that has started, inside and outside."""
    confined = ("docker", "run", "--rm", "--init", "--network", "none", "--entrypoint", "python")
    inside = (*confined, "ddb-db", "-c", SOURCE)
    watchdog = Watchdog([*sleepers(), *sleepers(inside), flusher(VOLUME, inside)])
    watchdog.start()
    return watchdog
