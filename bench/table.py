"""The figures of the rounds as Markdown tables."""

from collections.abc import Iterable, Sequence

from bench.rounds import Results
from bench.sample import Load, Metric, Spread


def table(head: Sequence[str], rows: Iterable[Sequence[str]], texts: int = 1) -> str:
    """Return a Markdown table.

    Args:
        head: The titles of the columns.
        rows: The cells of each row.
        texts: The number of text columns; the columns after them are right-aligned figures.
    """
    lines = [head, [*["---"] * texts, *["---:"] * (len(head) - texts)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def measured(results: Results, load: Load, names: Sequence[str]) -> str:
    """Return the table of one load, a row per system."""
    head = [
        *(f"**{load}**", "requests/s", "p50 µs", "p99 µs", "p99.9 µs", "CPU µs/op"),
        *("× echo CPU", "× ddb CPU", "ddb's rate ×"),
    ]
    rows = []
    for name in names:
        if name not in results.samples.get(load, {}):
            continue
        figures = [spread(results.spread(load, name, metric)) for metric in _SHOWN]
        rows.append(
            [
                name,
                *figures,
                spread(results.ratio(load, name, "echo", Metric.CPU), 2),
                spread(results.ratio(load, name, "ddb", Metric.CPU), 2),
                spread(results.ratio(load, "ddb", name, Metric.RATE), 2),
            ]
        )
    return table(head, rows)


_SHOWN = (Metric.RATE, Metric.P50, Metric.P99, Metric.P999, Metric.CPU)


def ratios(results: Results, names: Sequence[str]) -> str:
    """Return the table of ratios, a row per load.

    Columns: ddb's CPU relative to the echo; ddb's rate relative to each peer; each peer's CPU
    relative to ddb.
    """
    ours = [name for name in names if name.startswith("ddb")]
    peers = [name for name in names if name not in (*ours, "echo")]
    head = [
        "load",
        *(f"{name}: CPU × echo" for name in ours),
        *(f"ddb's rate × {peer}" for peer in peers),
        *(f"{peer}: CPU × ddb" for peer in peers),
    ]
    rows = [
        [
            str(load),
            *(spread(results.ratio(load, name, "echo", Metric.CPU), 2) for name in ours),
            *(spread(results.ratio(load, "ddb", peer, Metric.RATE), 1) for peer in peers),
            *(spread(results.ratio(load, peer, "ddb", Metric.CPU), 1) for peer in peers),
        ]
        for load in results.samples
    ]
    return table(head, rows)


def spread(figures: Spread | None, digits: int = 0) -> str:
    """Format a median, with least and greatest in brackets; "" for None."""
    if figures is None:
        return ""
    least, median, greatest = (
        f"{figure:,.{digits}f}" for figure in (figures.least, figures.median, figures.greatest)
    )
    return f"{median} ({least} to {greatest})"


def all_loads(results: Results, names: Sequence[str]) -> str:
    """Return the tables of all loads."""
    return "\n".join(measured(results, load, names) for load in results.samples)


def brief(results: Results, names: Sequence[str]) -> str:
    """Return the medians, one row for each load and system.

    Only the ratio to the echo has its least and greatest, too.
    """
    head = ["load", "system", "requests/s", "p50 µs", "p99 µs", "p99.9 µs", "CPU µs/op"]
    rows = []
    for load, systems in results.samples.items():
        for name in names:
            if name not in systems:
                continue
            figures = [results.spread(load, name, metric) for metric in _SHOWN]
            others = results.spread(load, name, Metric.OTHERS)
            rows.append(
                [
                    *(str(load), name),
                    *(f"{figure.median:,.0f}" for figure in figures if figure is not None),
                    spread(results.ratio(load, name, "echo", Metric.CPU), 2),
                    "" if others is None else f"{others.median:.1f}",
                ]
            )
    return table([*head, "× echo CPU", "cores busy otherwise"], rows, texts=2)
