"""Interleaved rounds: each round runs every load on every system.

The speed of a machine drifts, so a ratio compares two systems within one round. The report gives
its median over the rounds.
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
from bench.targets.target import Target, TargetFailed
from bench.users import User
from bench.workload import Operation, create, plan, remove
from bench.wrk import CONNECTIONS, Wrk

PLACES = 50
"""Starts of pages for LIST. Fewer: the pages stay in caches."""
CHECKED = 20
"""Users that `verify` reads and changes."""
SETTLE_S = 0.2
"""Pause between runs. Shorter: background work of one run adds to the CPU of the next."""
_MODELS = 20_000
"""Users whose fields a POST copies. Higher: the plans become larger."""

Log = Callable[[str], None]
"""Takes each line of progress."""


@dataclass(slots=True)
class Results:
    """Samples by load, system and round."""

    samples: dict[Load, dict[str, dict[int, Sample]]] = field(default_factory=dict)
    durability: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    """The reason for each system that did not run."""
    failed: list[str] = field(default_factory=list)
    """The runs that do not count, because some of their answers were errors."""

    def add(self, load: Load, name: str, number: int, sample: Sample) -> None:
        """Add the sample of round `number`."""
        self.samples.setdefault(load, {}).setdefault(name, {})[number] = sample

    def spread(self, load: Load, name: str, metric: Metric) -> Spread | None:
        """Return a figure over the rounds; None if unmeasured."""
        samples = self.samples.get(load, {}).get(name, {})
        return Spread.over(map(metric.of, samples.values())) if samples else None

    def ratio(self, load: Load, name: str, other: str, metric: Metric) -> Spread | None:
        """Return the figure of `name` divided by that of `other`.

        Each ratio is taken within one round. Return None if no round measured both systems.
        """
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
    """A running system that stores these users."""

    target: Target
    users: list[User]


def verify(loaded: Loaded) -> None:
    """Check that a system returns users and stores changes. Raises `TargetFailed`."""
    target = loaded.target
    dialect = target.dialect
    connection = http.client.HTTPConnection(target.host, timeout=5)
    try:
        for user in loaded.users[:: max(1, len(loaded.users) // CHECKED)]:
            found = dialect.user(_ask(connection, dialect.get(user.id)))
            changed = User(user.id, user.name, user.email, user.group + 1)
            _ask(connection, dialect.put(changed, "group"))
            after = dialect.user(_ask(connection, dialect.get(user.id)))
            _ask(connection, dialect.put(user, "group"))
            if found != user:
                raise TargetFailed(f"{target.name} answers {found}, but {user} was stored")
            if after != changed:
                raise TargetFailed(f"{target.name} answers {after} after a change to {changed}")
    finally:
        connection.close()


def _ask(connection: http.client.HTTPConnection, call: Call) -> bytes:
    headers = {"Content-Type": "application/json"}
    connection.request(call.method, call.path.decode(), call.body, headers)
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != 200:
        request = f"{call.method} {call.path.decode()}"
        raise TargetFailed(f"{request} got the status {answer.status}, not 200: {content!r}")
    return content


class Bench:
    """Running systems with their users, and the plans for them."""

    def __init__(self, wrk: Wrk, loaded: Sequence[Loaded], log: Log) -> None:
        self._wrk = wrk
        self._loaded = loaded
        self._log = log
        self._places = {each.target.name: each.target.places(each.users, PLACES) for each in loaded}
        self._next_serial = {each.target.name: 0 for each in loaded}
        self._deletable = {each.target.name: (0, 0) for each in loaded}
        self._directory = TemporaryDirectory(prefix="bench-plans-")

    def run(self, loads: Sequence[Load], rounds: int, seconds: int, results: Results) -> None:
        """Measure every load on every system, round by round.

        Args:
            loads: The loads. A DELETE follows the POST that created its users.
            rounds: The number of rounds.
            seconds: Duration of a run of GET or PUT; the other operations get half of it.
            results: Receives the samples.
        """
        for load in loads:
            results.samples.setdefault(load, {})
        # Otherwise the kernel writes data of the loading while a run measures its own flushes.
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
                            self._log(f"round {number} does not count: {failed}")
            self._log(f"round {number} of {rounds}: {time.monotonic() - began:.0f} s")

    def _once(
        self, loaded: Loaded, load: Load, number: int, seconds: int, results: Results
    ) -> None:
        target = loaded.target
        plan = self._plan(loaded, load, number)
        time.sleep(SETTLE_S)
        run = measure(self._wrk, target, plan, seconds)
        if load.operation is Operation.DELETE:
            self._deletable[target.name] = (0, 0)
        elif load.operation is Operation.POST:
            first = self._next_serial[target.name]
            self._next_serial[target.name] += run.measured.issued
            # The last request of each connection may not have taken effect.
            created = max(0, run.measured.issued - CONNECTIONS)
            self._deletable[target.name] = (first, 0 if run.measured.failures else created)
        results.add(load, target.name, number, run.sample(f"{target.name}, {load}"))

    def _plan(self, loaded: Loaded, load: Load, number: int) -> Path:
        target, users = loaded.target, loaded.users
        path = Path(self._directory.name, f"{target.name} {load}")
        dialect, name = target.dialect, target.name
        if load.operation is Operation.POST:
            create(dialect, users[:_MODELS], self._next_serial[name], number).write(
                path, target.host
            )
        elif load.operation is Operation.DELETE:
            first, count = self._deletable[name]
            if not count:
                raise RoundFailed("no users to delete: the POST before failed, or did not run")
            remove(dialect, users[0], first, count).write(path, target.host)
        elif not path.exists():
            planned = plan(dialect, load.operation, load.keys, users, self._places[name], seed=1)
            planned.write(path, target.host)
        return path

    def close(self) -> None:
        """Remove the files of the plans."""
        self._directory.cleanup()
