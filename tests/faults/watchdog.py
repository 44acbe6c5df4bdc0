"""How long this machine itself stood still: a process that sleeps, and notes when it overslept.

One sleeper per processor, each on its own. A process that has slept is served before those that
have computed, so it oversleeps when the machine does not run its processors, or has far too few
for everything on it, and hardly ever because the cluster is busy.
"""

import os
import subprocess
import sys
import time

NAP = 0.002
WORTH_NOTING = 0.010
MOST_STOOD = 0.02
"""Share of the time for which some processor may have stood still where time is to be judged."""


class Watchdog:
    """Sleepers in processes of their own, from `start` until `stop`."""

    def __init__(self) -> None:
        self.stalls: list[tuple[float, float]] = []
        """From when to when some processor stood still, on `time.monotonic`; merged, in order."""
        self._processes: list[subprocess.Popen[str]] = []
        self._began = self._ended = time.monotonic()

    def start(self) -> None:
        """Begin to watch."""
        self._began = time.monotonic()
        for processor in sorted(os.sched_getaffinity(0)):
            self._processes.append(
                subprocess.Popen(
                    [sys.executable, __file__, str(processor)], stdout=subprocess.PIPE, text=True
                )
            )

    def stop(self) -> None:
        """End the sleepers and take down what they noted."""
        self._ended = time.monotonic()
        noted: list[tuple[float, float]] = []
        for process in self._processes:
            process.terminate()
            said, _ = process.communicate(timeout=10)
            for line in said.splitlines():
                due, woke = line.split()
                noted.append((float(due), float(woke)))
        self._processes.clear()
        for start, end in sorted(noted):
            if self.stalls and start <= self.stalls[-1][1]:
                self.stalls[-1] = (self.stalls[-1][0], max(end, self.stalls[-1][1]))
            else:
                self.stalls.append((start, end))

    def within(self, start: float, end: float) -> float:
        """Seconds between two moments during which the machine stood still."""
        return sum(
            max(0.0, min(end, stall_end) - max(start, stall_start))
            for stall_start, stall_end in self.stalls
        )

    @property
    def fit(self) -> bool:
        """Whether on this machine it is the cluster that decides how soon answers come."""
        stood = sum(end - start for start, end in self.stalls)
        return stood <= MOST_STOOD * (self._ended - self._began)

    def __repr__(self) -> str:
        lengths = [end - start for start, end in self.stalls]
        worst = max(lengths, default=0.0)
        return (
            f"<Watchdog {len(lengths)} stalls of {WORTH_NOTING * 1000:.0f} ms and more,"
            f" worst {worst * 1000:.0f} ms, {sum(lengths):.2f} s together"
            f"{'' if self.fit else ': too much to judge how soon answers come'}>"
        )


def _sleep(processor: int) -> None:
    os.sched_setaffinity(0, {processor})
    while True:
        due = time.monotonic() + NAP
        time.sleep(NAP)
        woke = time.monotonic()
        if woke - due >= WORTH_NOTING:
            print(due, woke, flush=True)


if __name__ == "__main__":
    _sleep(int(sys.argv[1]))
