"""The table that `ddb status` prints."""

import datetime as dt
from collections.abc import Iterable

_HEADINGS = ("NAME", "ADDRESS", "PID", "PROCESS", "STATE", "RECORDS", "DISK", "HINTS")
_RIGHT_ALIGNED = {"PID", "RECORDS", "DISK"}
_UNIT_STEP = 1000
_UNITS_OF_AGE = (("days", 86_400), ("h", 3_600), ("min", 60))
"""From twice its length, an age is shown in the unit: 119 s, then 2 min."""


def report(status: dict[str, object], now: dt.datetime) -> str:
    """Return the verdict, and below it the table of all processes."""
    rows = [_HEADINGS, *(_row(node, now) for node in _items(status["nodes"]))]
    gateway = status["gateway"]
    if isinstance(gateway, dict):
        address = str(gateway["url"]).removeprefix("http://")
        rows.append(("gateway", address, *_process(gateway), "", "", ""))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    lines = ["  ".join(_cells(row, widths)).rstrip() for row in rows]
    return "\n".join((str(status["verdict"]), "", *lines))


def _row(node: dict[str, object], now: dt.datetime) -> tuple[str, ...]:
    pid, process, state = _process(node)
    return (
        str(node["name"]),
        str(node["address"]),
        pid,
        process,
        ", ".join((state, *_remarks(node))),
        _grouped(node.get("records")),
        _size(node.get("disk_bytes")),
        _hints(node.get("hints"), now),
    )


def _remarks(node: dict[str, object]) -> Iterable[str]:
    if node.get("phase") == "joining":
        match node.get("refill"):
            case {"done": float(done) | int(done)}:
                yield f"refilling {done:.0%}"
            case _:
                yield "joining"
    if node.get("room") in ("scarce", "none"):
        yield "disk full: inodes" if node.get("scarcest") == "inodes" else "disk full"
    match node.get("disk"):
        case "slow" | "stalled" as disk:
            yield f"disk {disk}"
    damaged = node.get("damaged_partitions")
    if isinstance(damaged, int) and damaged:
        yield f"rebuilding {damaged} damaged partitions"


def _process(facts: dict[str, object]) -> tuple[str, str, str]:
    pid = facts.get("pid")
    return ("-" if pid is None else str(pid), str(facts["process"]), str(facts["state"]))


def _cells(row: tuple[str, ...], widths: list[int]) -> Iterable[str]:
    for head, cell, width in zip(_HEADINGS, row, widths, strict=True):
        yield cell.rjust(width) if head in _RIGHT_ALIGNED else cell.ljust(width)


def _grouped(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else "-"


def _size(value: object) -> str:
    if not isinstance(value, int):
        return "-"
    size = float(value)
    for unit in ("B", "kB", "MB", "GB"):
        if size < _UNIT_STEP:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= _UNIT_STEP
    return f"{size:.1f} TB"


def _hints(value: object, now: dt.datetime) -> str:
    if not isinstance(value, list):
        return "-"
    waiting = [
        f"{_grouped(hint.get('count'))} for {hint.get('for')}"
        + (f", first {_age(str(hint['since']), now)}" if hint.get("since") else "")
        for hint in _items(value)
        if hint.get("count")
    ]
    return "; ".join(waiting) or "none"


def _age(since: str, now: dt.datetime) -> str:
    """Return how long ago a time was, in its largest unit."""
    # Clocks of two machines may differ, so a time may be ahead of this one.
    age_s = max(int((now - dt.datetime.fromisoformat(since)).total_seconds()), 0)
    for unit, seconds in _UNITS_OF_AGE:
        if age_s >= 2 * seconds:
            return f"{age_s // seconds} {unit} ago"
    return f"{age_s} s ago"


def _items(value: object) -> list[dict[str, object]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
