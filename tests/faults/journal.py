"""The journal of a run: every latency with the fault of that moment, and every violation."""

import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from enum import Enum

from tests.faults.watchdog import Watchdog
from tests.http.connection import TimedAnswer

LIMIT_S = 0.250
"""The promised latency while at most one node is down."""
RETRY_TIME_S = 0.100
"""A gateway that loses this much time cannot try another node within its budget."""
MAX_LATE = 3
"""Late answers and 503s of one run that prove nothing, of some 200,000 answers.

Too low: a container that starts takes both processors of a small machine for a moment, and the run
fails. The watchdog sees only stalls of its own process. Too high: the run misses a rare delay.
"""
_MAX_COMPLAINTS = 40


class Phase(Enum):
    """The fault of the moment."""

    CALM = "no fault"
    KILL = "kill -9 of a node"
    STOP = "SIGTERM of a node"
    PAUSE = "SIGSTOP of a node"
    GATEWAY = "kill -9 of the gateway"
    ALL = "kill -9 of all nodes at once"


@dataclass(frozen=True, slots=True)
class Slow:
    """A 503, or an answer later than `LIMIT_S` by this process's clock.

    Args:
        sent_at, received_at, delay_s: as in `TimedAnswer`.
        after: the last fault before the request, and its age.
        detail: what the body of a 503 states; otherwise nothing.
    """

    phase: Phase
    request: str
    status: int
    sent_at: float
    received_at: float
    delay_s: float
    after: str
    detail: str

    def describe(self, watchdog: Watchdog) -> str:
        """Return a sentence for the report."""
        stood = watchdog.within(self.sent_at, self.received_at)
        return (
            f"{self.phase.value}: {self.request}, sent {self.after}, got {self.status} after"
            f" {(self.received_at - self.sent_at) * 1000:.0f} ms; this process read that"
            f" {self.delay_s * 1000:.0f} ms late and the machine stood still {stood * 1000:.0f} ms"
            f"{self.detail and f': {self.detail}'}"
        )

    def is_cluster_fault(self, watchdog: Watchdog) -> bool:
        """Return whether the cluster is the cause, and not this process or the machine."""
        stood = watchdog.within(self.sent_at, self.received_at)
        if self.status == 503:
            return stood < RETRY_TIME_S
        return self.received_at - self.sent_at - self.delay_s - stood > LIMIT_S


class Journal:
    """The load records answers; the breaker sets `phase`."""

    def __init__(self) -> None:
        self.phase = Phase.CALM
        self.faults: Counter[Phase] = Counter()
        self.writes: Counter[Phase] = Counter()
        self.unavailable: Counter[Phase] = Counter()
        """Number of 503s, lost and refused connections, by phase."""
        self.wrong: list[tuple[Phase, str]] = []
        self.slow: list[Slow] = []
        self.worst: dict[Phase, tuple[float, str]] = {}
        self._latencies: dict[Phase, list[float]] = defaultdict(list)
        self._actions: list[tuple[float, str]] = []

    def did(self, action: str) -> None:
        """Record an action on the cluster, now."""
        self._actions.append((time.monotonic(), action))

    def answered(self, sent_in: Phase, request: str, answer: TimedAnswer) -> None:
        """Record an answer. `sent_in` is the phase in which the request was sent."""
        phase = self.phase if self.phase is not Phase.CALM else sent_in
        took = answer.received_at - answer.sent_at
        self._latencies[phase].append(took - answer.delay_s)
        if took > self.worst.get(phase, (0.0, ""))[0]:
            self.worst[phase] = (took, request)
        unavailable = answer.status == 503
        self.unavailable[phase] += unavailable
        # While all nodes are down, ddb promises neither an answer nor a latency.
        if phase is not Phase.ALL and (took > LIMIT_S or unavailable):
            self.slow.append(
                Slow(
                    phase,
                    request,
                    answer.status,
                    answer.sent_at,
                    answer.received_at,
                    answer.delay_s,
                    self._after(answer.sent_at),
                    answer.body.decode() if unavailable else "",
                )
            )
        if answer.status >= 500 and not unavailable:
            self.violation(f"{request} was answered {answer.status}: {answer.body.decode()}")

    def _after(self, moment: float) -> str:
        for at, action in reversed(self._actions):
            if at <= moment:
                return f"{moment - at:.2f} s after {action}"
        return "before the first fault"

    def lost(self, sent_in: Phase, request: str, reason: str) -> None:
        """Record a request without an answer."""
        phase = self.phase if self.phase is not Phase.CALM else sent_in
        self.unavailable[phase] += 1
        if phase is not Phase.GATEWAY:
            self.violation(f"{request} was not answered: {reason}")

    def violation(self, text: str) -> None:
        """Record a broken promise."""
        self.wrong.append((self.phase, text))

    def table(self, watchdog: Watchdog) -> str:
        """Return the table of the run: a line per kind of fault, latencies in milliseconds."""
        title = f"{'kind of fault':<30}{'faults':>7}{'requests':>10}{'writes':>8}{'p50':>7}"
        lines = [
            title + f"{'p99':>7}{'worst':>7}{'503/lost':>10}{'late':>7}{'wrong':>7}   the worst"
        ]
        for phase in Phase:
            took = sorted(self._latencies[phase]) or [0.0]
            late = [
                slow
                for slow in self.slow
                if slow.phase is phase and slow.is_cluster_fault(watchdog)
            ]
            _, worst = self.worst.get(phase, (0.0, ""))
            lines.append(
                f"{phase.value:<30}{self.faults[phase]:>7}{len(took):>10}{self.writes[phase]:>8}"
                f"{took[len(took) // 2] * 1000:>7.1f}{took[len(took) * 99 // 100] * 1000:>7.1f}"
                f"{took[-1] * 1000:>7.1f}{self.unavailable[phase]:>10}{len(late):>7}"
                f"{sum(each is phase for each, _ in self.wrong):>7}   {worst}"
            )
        return "\n".join(lines)

    def complaints(self, watchdog: Watchdog) -> list[str]:
        """Return the first violations and late answers.

        Late answers do not count if the machine stood still for too long, or if there are few.
        """
        late = [
            slow.describe(watchdog)
            for slow in self.slow
            if watchdog.fit and slow.is_cluster_fault(watchdog)
        ]
        if len(late) <= MAX_LATE:
            print(*late, sep="\n")
            late = []
        wrong = [f"{phase.value}: {text}" for phase, text in self.wrong]
        return (wrong + late)[:_MAX_COMPLAINTS]

    def __repr__(self) -> str:
        return (
            f"<Journal {sum(map(len, self._latencies.values()))} answers, {len(self.wrong)} wrong>"
        )
