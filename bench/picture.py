"""The figures as one picture."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from bench.faults import Fault
from bench.growth import Growth
from bench.rounds import Results
from bench.sample import Metric

COLOURS = {
    "echo": "#9aa0a6",
    "ddb": "#1f6feb",
    "ddb-os": "#8ab4f8",
    "fastapi": "#e8710a",
    "etcd": "#7b3fa0",
}
_OTHER = "#444444"


def draw(results: Results, names: Sequence[str], growth: Growth | None, path: Path) -> None:
    """Write the picture as PNG."""
    mpl.use("agg")
    fault = None if growth is None else growth.fault
    figure, axes = plt.subplots(3 if fault else 2, 1, figsize=(12, 13 if fault else 9))
    shown = [name for name in names if name in results.versions]
    _bars(axes[0], results, shown, Metric.RATE, "requests per second (more is better)")
    _bars(axes[1], results, shown, Metric.CPU, "CPU µs per operation (less is better)")
    if fault:
        _timeline(axes[2], fault)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _bars(axes: Axes, results: Results, names: Sequence[str], metric: Metric, title: str) -> None:
    loads = list(results.samples)
    width = 0.8 / max(1, len(names))
    for at, name in enumerate(names):
        spreads = [results.spread(load, name, metric) for load in loads]
        places = [number + (at - (len(names) - 1) / 2) * width for number in range(len(loads))]
        bars = [(place, spread) for place, spread in zip(places, spreads, strict=True) if spread]
        axes.bar(
            [place for place, _ in bars],
            [spread.median for _, spread in bars],
            width,
            yerr=[
                [spread.median - spread.least for _, spread in bars],
                [spread.greatest - spread.median for _, spread in bars],
            ],
            color=COLOURS.get(name, _OTHER),
            label=f"{name} ({results.durability[name]})",
            error_kw={"elinewidth": 0.8},
        )
    axes.set_xticks(range(len(loads)), [str(load) for load in loads])
    axes.set_yscale("log")
    axes.set_title(title)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(fontsize=8)


def _timeline(axes: Axes, fault: Fault) -> None:
    seconds = range(len(fault.timeline))
    rates = [len(second.latencies) for _, second in fault.timeline]
    axes.fill_between(
        seconds, rates, color=COLOURS["ddb"], alpha=0.2, label="successful requests per second"
    )
    axes.set_ylim(bottom=0)
    latency = axes.twinx()
    for label, share, style in (("p99", 0.99, "-"), ("maximum", 1.0, ":")):
        figures = [second.percentile(share) * 1000 for _, second in fault.timeline]
        latency.plot(seconds, figures, style, color=_OTHER, label=f"{label}, ms")
    latency.set_ylim(bottom=0)
    latency.legend(loc="upper right", fontsize=8)
    axes.legend(loc="upper left", fontsize=8)
    current = None
    for at, (phase, _) in enumerate(fault.timeline):
        if phase is not current:
            axes.axvline(at, color=_OTHER, linewidth=0.5)
            axes.text(at + 0.1, 0, phase.value, fontsize=8, rotation=90, va="bottom")
            current = phase
    axes.set_title(f"a node is killed and returns, at {fault.rate:,.0f} requests per second")
    axes.set_xlabel("seconds of steady load, without the time in which hints are made")
