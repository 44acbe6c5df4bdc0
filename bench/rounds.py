"""Interleaved rounds: every system under every load, one right after the other, again and again.

Machines drift, so only what ran side by side is compared: a ratio is taken within a round, and its
median over the rounds is what is told.
"""

import http.client
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.plan import Call
from bench.sample import Load, Metric, RoundFailed, Sample, Spread, measure
from bench.targets.target import Failed, Target
from bench.users import User
from bench.workload import Operation, create, plan, remove
from bench.wrk import CONNECTIONS, Wrk

PLACES = 50
CHECKED = 20
SETTLE = 0.2
"""Seconds between runs, for what the one before left to be done."""
_MODELS = 20_000

Say = Callable[[str], None]


@dataclass(slots=True)
class Results:
    """Samples by load, system and round."""

    samples: dict[Load, dict[str, dict[int, Sample]]] = field(default_factory=dict)
    durability: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    """Why a system was left out."""
    failed: list[str] = field(default_factory=list)
    """Runs that do not count, since not every answer in them was good."""

    def add(self, load: Load, name: str, number: int, sample: Sample) -> None:
        """Note what came out of a round."""
        self.samples.setdefault(load, {}).setdefault(name, {})[number] = sample

    def spread(self, load: Load, name: str, metric: Metric) -> Spread | None:
        """A figure over the rounds; None where it was not measured."""
        samples = self.samples.get(load, {}).get(name, {})
        return Spread.over(map(metric.of, samples.values())) if samples else None

    def ratio(self, load: Load, name: str, other: str, metric: Metric) -> Spread | None:
        """The one system's figure by the other's, round by round."""
        systems = self.samples.get(load, {})
        ones, others = systems.get(name, {}), systems.get(other, {})
        ratios = [
            metric.of(one) / metric.of(others[number])
            for number, one in ones.items()
            if number in others
        ]
        return Spread.over(ratios) if ratios else None


@dataclass(frozen=True, slots=True)
class Loaded:
    """A system that runs and holds these users."""

    target: Target
    users: list[User]


def verify(loaded: Loaded) -> None:
    """See that a system holds its users and keeps a change. Raises Failed."""
    target = loaded.target
    dialect = target.dialect
    connection = http.client.HTTPConnection(target.host, timeout=5)
    try:
        for user in loaded.users[:: max(1, len(loaded.users) // CHECKED)]:
            found = dialect.user(_ask(connection, dialect.get(user.id)))
            changed = User(user.id, user.name, user.email, user.group + 1)
            _ask(connection, dialect.put(changed, "group"))
            then = dialect.user(_ask(connection, dialect.get(user.id)))
            _ask(connection, dialect.put(user, "group"))
            if (found, then) != (user, changed):
                raise Failed(f"{target.name} answers {found}, then {then}, not {user}, {changed}")
    finally:
        connection.close()


def _ask(connection: http.client.HTTPConnection, call: Call) -> bytes:
    headers = {"Content-Type": "application/json"}
    connection.request(call.method, call.path.decode(), call.body, headers)
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != 200:
        raise Failed(f"{call.method} {call.path!r} is answered with {answer.status}: {content!r}")
    return content


class Bench:
    """Systems that run and are loaded, and the plans for them."""

    def __init__(self, wrk: Wrk, loaded: Sequence[Loaded], say: Say) -> None:
        self._wrk = wrk
        self._loaded = loaded
        self._say = say
        self._places = {each.target.name: each.target.places(each.users, PLACES) for each in loaded}
        self._made = {each.target.name: 0 for each in loaded}
        self._left = {each.target.name: (0, 0) for each in loaded}
        self._directory = TemporaryDirectory(prefix="bench-plans-")

    def run(self, loads: Sequence[Load], rounds: int, seconds: int, results: Results) -> None:
        """Measure: reads and updates for so many seconds, the rest for half as many.

        A DELETE follows the POST whose users it deletes.
        """
        for load in loads:
            results.samples.setdefault(load, {})
        # Or what loading left in memory is written while somebody's flushes are measured.
        os.sync()
        for number in range(1, rounds + 1):
            began = time.monotonic()
            for load in loads:
                long = load.operation in (Operation.GET, Operation.PUT)
                for each in self._loaded:
                    if load.operation in each.target.operations:
                        try:
                            self._once(
                                each, load, number, seconds if long else -(-seconds // 2), results
                            )
                        except RoundFailed as failed:
                            results.failed.append(f"round {number}: {failed}")
                            self._say(f"does not count: round {number}: {failed}")
            self._say(f"round {number} of {rounds}: {time.monotonic() - began:.0f} s")

    def _once(
        self, loaded: Loaded, load: Load, number: int, seconds: int, results: Results
    ) -> None:
        target = loaded.target
        plan = self._plan(loaded, load, number)
        time.sleep(SETTLE)
        run = measure(self._wrk, target, plan, seconds)
        if load.operation is Operation.DELETE:
            self._left[target.name] = (0, 0)
        elif load.operation is Operation.POST:
            first = self._made[target.name]
            self._made[target.name] += run.measured.issued
            # The last request of each connection may not have taken effect.
            certain = max(0, run.measured.issued - CONNECTIONS)
            self._left[target.name] = (first, 0 if run.measured.failures else certain)
        results.add(load, target.name, number, run.sample(f"{target.name}, {load}"))

    def _plan(self, loaded: Loaded, load: Load, number: int) -> Path:
        target, users = loaded.target, loaded.users
        path = Path(self._directory.name, f"{target.name} {load}")
        dialect, name = target.dialect, target.name
        if load.operation is Operation.POST:
            create(dialect, users[:_MODELS], self._made[name], number).write(path, target.host)
        elif load.operation is Operation.DELETE:
            first, count = self._left[name]
            if not count:
                raise RoundFailed(
                    "delete takes away what post made, and there was no good post before"
                )
            remove(dialect, users[0], first, count).write(path, target.host)
        elif not path.exists():
            planned = plan(dialect, load.operation, load.keys, users, self._places[name], seed=1)
            planned.write(path, target.host)
        return path

    def close(self) -> None:
        """Remove what was written for the load generator."""
        self._directory.cleanup()
