"""The whole report as Markdown: the table, growth, the fault, and what they were measured on."""

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
    """All figures as one page of Markdown; `load_generator` is its name and version."""
    conditions = (
        f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC. {describe()}. {load_generator},"
        f" {CONNECTIONS} connections, {users:,} users. Figures are the median of the rounds, with"
        " the least and the greatest in brackets; ratios are taken within each round. CPU is that"
        " of all processes of a system, kernel time included, without the load generator's.\n"
    )
    systems = [
        [name, results.durability[name], results.versions[name]]
        for name in names
        if name in results.versions
    ]
    parts = ["# ddb beside its peers and its limit\n", conditions]
    if systems:
        parts.append(table(["system", "a write is answered by", "version"], systems, texts=3))
    parts += ["## Goals\n", _goals(goals(results, growth))]
    parts += [f"Skipped: **{name}**: {why}\n" for name, why in results.skipped.items()]
    if results.samples:
        parts += ["## Ratios\n", ratios(results, names), "## All figures\n"]
        parts.append(all_loads(results, names))
    if results.failed:
        parts.append("Runs that do not count, since some answers in them were errors:\n")
        parts.append("".join(f"- {line}\n" for line in results.failed))
    if growth is not None:
        parts += _grown(growth)
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


def _grown(growth: Growth) -> list[str]:
    parts = ["## Growth\n"]
    for what, results in (("nodes", growth.nodes), ("records", growth.records)):
        if results.samples:
            systems = list(
                dict.fromkeys(name for each in results.samples.values() for name in each)
            )
            parts += [f"By {what}:\n", brief(results, systems)]
    if growth.memory:
        rows = [
            [name, f"{min(sizes) / MIB:.0f} to {max(sizes) / MIB:.0f}"]
            for name, sizes in growth.memory.items()
        ]
        parts.append(table(["cluster", "MiB of memory of a node"], rows))
    if growth.compacted:
        parts.append(
            f"{growth.users:,} users are {growth.logical / MIB:.1f} MiB of JSON. Two copies of"
            f" them, everything included, take {growth.compacted / MIB:.1f} MiB on disk after"
            f" compaction: **{growth.compacted / growth.logical:.2f} bytes for each logical"
            f" byte** ({growth.running / growth.logical:.2f} while running, before).\n"
        )
    if growth.counting is not None:
        parts.append(
            f"COUNT of {growth.users:,} users, one at a time: {spread(growth.counting, 1)} ms.\n"
        )
    if growth.fault is not None:
        parts += _broken(growth.fault)
    return parts


def _broken(fault: Fault) -> list[str]:
    before, draining = fault.p99(Phase.BEFORE), fault.p99(Phase.DRAINING)
    rows = []
    for phase, group in groupby(fault.timeline, key=lambda each: each[0]):
        for _, second in group:
            rows.append(
                [
                    phase.value,
                    f"{len(second.latencies):,}",
                    f"{second.percentile(0.5) * 1000:.1f}",
                    f"{second.percentile(0.99) * 1000:.1f}",
                    f"{second.worst * 1000:.0f}",
                    str(second.refused + second.broken),
                ]
            )
    worst = max(fault.worst(phase) for phase in Phase)
    said = (
        f"{fault.rate:,.0f} requests/s at a steady rate, half GET and half PUT: half of what it can"
        f" do. p99 while draining {fault.hints:,} hints: **{draining * 1000:.1f} ms,"
        f" {draining / before if before else 0:.1f} times** that of before ({before * 1000:.1f}"
        f" ms). Worst answer {worst * 1000:.0f} ms; {fault.bad()} requests refused or unanswered."
        f" Drained under this load in {fault.drained_in:.1f} s,"
        f" {_rate(fault.hints, fault.drained_in)} hints/s; idle, {fault.idle_hints:,} in"
        f" {fault.idle_drained_in:.1f} s:"
        f" **{_rate(fault.idle_hints, fault.idle_drained_in)} hints/s**.\n"
    )
    return [
        "## A node is killed and comes back\n",
        said,
        table(["by second", "good answers", "p50 ms", "p99 ms", "worst ms", "bad"], rows),
    ]


def _rate(count: int, seconds: float) -> str:
    return f"{count / seconds:,.0f}" if seconds else "?"
