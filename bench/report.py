"""The whole report as one page of Markdown."""

import datetime as dt
from collections.abc import Sequence
from itertools import groupby

from bench.faults import Fault, Phase
from bench.goals import Goal, goals
from bench.growth import Growth
from bench.machine import describe
from bench.rounds import Results
from bench.table import all_loads, brief, ratios, spread, table
from bench.wrk import CONNECTIONS

MIB = 2**20


def report(
    results: Results,
    names: Sequence[str],
    growth: Growth | None,
    users: int,
    load_generator: str,
) -> str:
    """Return all figures as one page of Markdown.

    Args:
        results: The figures of the rounds.
        names: The systems to show, in order.
        growth: The figures of growth and of the fault; None if they were not measured.
        users: The number of users in the rounds.
        load_generator: Name and version of the load generator.
    """
    conditions = (
        f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC. {describe()}. {load_generator},"
        f" {CONNECTIONS} connections, {users:,} users. A figure is the median of the rounds, with"
        " the least and the greatest in brackets. A ratio compares two systems within one round."
        " CPU is the time of all processes of a system, kernel time included, without the load"
        " generator.\n"
    )
    systems = [
        [name, results.durability[name], results.versions[name]]
        for name in names
        if name in results.versions
    ]
    parts = ["# ddb, its peers and its limit\n", conditions]
    if systems:
        parts.append(table(["system", "a write is stored by", "version"], systems, texts=3))
    parts += ["## Goals\n", _goals(goals(results, growth))]
    parts += [f"Skipped: **{name}**: {why}\n" for name, why in results.skipped.items()]
    if results.samples:
        parts += ["## Ratios\n", ratios(results, names), "## All figures\n"]
        parts.append(all_loads(results, names))
    if results.failed:
        parts.append("Runs that do not count, because some of their answers were errors:\n")
        parts.append("".join(f"- {line}\n" for line in results.failed))
    if growth is not None:
        parts += _growth(growth)
    return "\n".join(parts)


def _goals(found: Sequence[Goal]) -> str:
    verdicts = {None: "not measured", True: "reached", False: "**not reached**"}
    rows = [
        [
            goal.name,
            f"{goal.side.value} {goal.bound:,g}",
            "" if goal.measured is None else f"{goal.measured:,.2f}",
            verdicts[goal.reached],
        ]
        for goal in found
    ]
    return table(["goal", "bound", "median", ""], rows)


def _growth(growth: Growth) -> list[str]:
    parts = ["## Growth\n"]
    for title, results in (
        ("nodes", growth.nodes),
        ("records", growth.records),
    ):
        if results.samples:
            systems = list(
                dict.fromkeys(name for each in results.samples.values() for name in each)
            )
            parts += [f"By {title}:\n", brief(results, systems)]
    if growth.memory:
        rows = [
            [name, f"{min(sizes) / MIB:.0f} to {max(sizes) / MIB:.0f}"]
            for name, sizes in growth.memory.items()
        ]
        parts.append(table(["cluster", "MiB of memory per node"], rows))
    if growth.compacted:
        parts.append(
            f"{growth.users:,} users are {growth.logical / MIB:.1f} MiB of JSON. All files of the"
            f" two copies take {growth.compacted / MIB:.1f} MiB on disk after a compaction:"
            f" **{growth.compacted / growth.logical:.2f} bytes per byte of JSON**"
            f" ({growth.running / growth.logical:.2f} before it, while the cluster ran).\n"
        )
    if growth.counting is not None:
        parts.append(
            f"COUNT of {growth.users:,} users, one at a time: {spread(growth.counting, 1)} ms.\n"
        )
    if growth.fault is not None:
        parts += _fault(growth.fault)
    return parts


def _fault(fault: Fault) -> list[str]:
    before, handoff = fault.p99(Phase.BEFORE), fault.p99(Phase.HANDOFF)
    rows = []
    for phase, group in groupby(fault.timeline, key=lambda each: each[0]):
        for _, second in group:
            rows.append(
                [
                    phase.value,
                    f"{len(second.latencies):,}",
                    f"{second.percentile(0.5) * 1000:.1f}",
                    f"{second.percentile(0.99) * 1000:.1f}",
                    f"{second.slowest * 1000:.0f}",
                    str(second.refused + second.broken),
                ]
            )
    slowest = max(fault.slowest(phase) for phase in Phase)
    summary = (
        f"The load is steady: {fault.rate:,.0f} requests/s, half GET and half PUT, which is half of"
        f" the highest rate. The p99 before the fault is {before * 1000:.1f} ms. During the handoff"
        f" of {fault.hints:,} hints it is **{handoff * 1000:.1f} ms,"
        f" {handoff / before if before else 0:.1f} times** as much. The slowest answer takes"
        f" {slowest * 1000:.0f} ms; {fault.failures()} requests are refused or unanswered."
        f" The handoff under this load takes {fault.handoff_s:.1f} s,"
        f" {_rate(fault.hints, fault.handoff_s)} hints/s. Without load, the handoff of"
        f" {fault.idle_hints:,} hints takes {fault.idle_handoff_s:.1f} s,"
        f" **{_rate(fault.idle_hints, fault.idle_handoff_s)} hints/s**.\n"
    )
    return [
        "## A node is killed and returns\n",
        summary,
        table(["by second", "good answers", "p50 ms", "p99 ms", "slowest ms", "failed"], rows),
    ]


def _rate(count: int, seconds: float) -> str:
    return f"{count / seconds:,.0f}" if seconds else "?"
