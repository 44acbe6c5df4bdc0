"""What a run saw: every latency with what went on at the time, and everything that was wrong."""

import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from enum import Enum

from tests.faults.http import Answer
from tests.faults.watchdog import Watchdog

LIMIT = 0.250
"""Seconds within which every request is answered while at most one node is out."""
ENOUGH = 0.100
"""Seconds without which a gateway cannot try another node within its budget."""
_SHOWN = 40


class Phase(Enum):
    """What is being done to the cluster."""

    CALM = "no fault"
    KILL = "kill -9 of a node"
    STOP = "SIGTERM of a node"
    PAUSE = "SIGSTOP of a node"
    GATEWAY = "kill -9 of the gateway"
    ALL = "kill -9 of all nodes at once"


@dataclass(frozen=True, slots=True)
class Slow:
    """An answer that came after `LIMIT` by this process's clock, or was none."""

    phase: Phase
    what: str
    status: int
    asked: float
    came: float
    own: float
    after: str
    """What had been done to the cluster last, and how long ago."""

    def told(self, watchdog: Watchdog) -> str:
        """For people."""
        stood = watchdog.within(self.asked, self.came)
        return (
            f"{self.phase.value}: {self.what}, asked {self.after}, was answered {self.status} after"
            f" {(self.came - self.asked) * 1000:.0f} ms; this process read that"
            f" {self.own * 1000:.0f} ms late and the machine stood still {stood * 1000:.0f} ms"
        )

    def own_fault(self, watchdog: Watchdog) -> bool:
        """Whether neither this process nor the machine explains it."""
        stood = watchdog.within(self.asked, self.came)
        if self.status == 503:
            return stood < ENOUGH
        return self.came - self.asked - self.own - stood > LIMIT


class Journal:
    """Filled by the load while `phase` is set by whoever breaks things."""

    def __init__(self) -> None:
        self.phase = Phase.CALM
        self.faults: Counter[Phase] = Counter()
        self.writes: Counter[Phase] = Counter()
        self.unavailable: Counter[Phase] = Counter()
        """Answers 503, and connections lost or refused, by phase."""
        self.wrong: list[tuple[Phase, str]] = []
        self.slow: list[Slow] = []
        self.worst: dict[Phase, tuple[float, str]] = {}
        self._latencies: dict[Phase, list[float]] = defaultdict(list)
        self._deeds: list[tuple[float, str]] = []

    def did(self, what: str) -> None:
        """Something was done to the cluster, just now."""
        self._deeds.append((time.monotonic(), what))

    def answered(self, asked_in: Phase, what: str, answer: Answer) -> None:
        """An answer came."""
        phase = self.phase if self.phase is not Phase.CALM else asked_in
        took = answer.came - answer.asked
        self._latencies[phase].append(took - answer.own)
        if took > self.worst.get(phase, (0.0, ""))[0]:
            self.worst[phase] = (took, what)
        unavailable = answer.status == 503
        self.unavailable[phase] += unavailable
        # With all nodes out there is no promise to answer, nor of how soon.
        if phase is not Phase.ALL and (took > LIMIT or unavailable):
            self.slow.append(
                Slow(
                    phase,
                    what,
                    answer.status,
                    answer.asked,
                    answer.came,
                    answer.own,
                    self._after(answer.asked),
                )
            )
        if answer.status >= 500 and not unavailable:
            self.violation(f"{what} was answered {answer.status}: {answer.body.decode()}")

    def _after(self, moment: float) -> str:
        for at, what in reversed(self._deeds):
            if at <= moment:
                return f"{moment - at:.2f} s after {what}"
        return "before anything was done"

    def lost(self, asked_in: Phase, what: str, reason: str) -> None:
        """No answer came."""
        phase = self.phase if self.phase is not Phase.CALM else asked_in
        self.unavailable[phase] += 1
        if phase is not Phase.GATEWAY:
            self.violation(f"{what} was not answered: {reason}")

    def violation(self, what: str) -> None:
        """Something was wrong."""
        self.wrong.append((self.phase, what))

    def table(self, watchdog: Watchdog) -> str:
        """The run, a line per kind of fault; milliseconds."""
        title = f"{'kind of fault':<30}{'faults':>7}{'requests':>10}{'writes':>8}{'p50':>7}"
        lines = [
            title + f"{'p99':>7}{'worst':>7}{'503/lost':>10}{'late':>7}{'wrong':>7}   the worst"
        ]
        for phase in Phase:
            took = sorted(self._latencies[phase]) or [0.0]
            late = [slow for slow in self.slow if slow.phase is phase and slow.own_fault(watchdog)]
            _, worst = self.worst.get(phase, (0.0, ""))
            lines.append(
                f"{phase.value:<30}{self.faults[phase]:>7}{len(took):>10}{self.writes[phase]:>8}"
                f"{took[len(took) // 2] * 1000:>7.1f}{took[len(took) * 99 // 100] * 1000:>7.1f}"
                f"{took[-1] * 1000:>7.1f}{self.unavailable[phase]:>10}{len(late):>7}"
                f"{sum(each is phase for each, _ in self.wrong):>7}   {worst}"
            )
        return "\n".join(lines)

    def complaints(self, watchdog: Watchdog) -> list[str]:
        """Everything that must not have been, the first few in full.

        How late answers came is left out where the machine did not give the cluster its time.
        """
        late = [
            slow.told(watchdog) for slow in self.slow if watchdog.fit and slow.own_fault(watchdog)
        ]
        wrong = [f"{phase.value}: {what}" for phase, what in self.wrong]
        return (wrong + late)[:_SHOWN]

    def __repr__(self) -> str:
        return (
            f"<Journal {sum(map(len, self._latencies.values()))} answers, {len(self.wrong)} wrong>"
        )
