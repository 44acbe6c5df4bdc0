"""The rate limit of the log: one line per cause, then a count after a minute.

A stranger, a client or a peer can cause some lines at will. Logs share the file system with the
data. The limit therefore applies to every line. A line names its cause with `extra=cause(...)`.
Without that, its place in the source is its cause.
"""

import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

LOG_WINDOW_S = 60.0
"""Seconds for which the limit counts the lines of one cause.

Too low: a flood writes more. Too high: the count comes long after the flood.
"""
LINES_PER_CAUSE = 1
"""Lines per window of a named cause, or of one traceback."""
LINES_PER_PLACE = 10
"""Lines per window from a place in the source that names no cause.

Too low: a node that changes its state twice in a minute logs only the first change. Too high: a
place that should name its cause writes more.
"""
MOST_CAUSES = 256
"""Causes with a count of their own; all further ones share one.

Too low: unrelated lines hide each other. Too high: an outsider who invents causes fills the log.
"""

_OVERFLOW = "more causes than are counted"


def cause(name: str) -> dict[str, str]:
    """Return the `extra` of a line that an outsider can cause at will.

    All lines with one name count together.
    """
    return {"cause": name}


@dataclass(slots=True)
class _Window:
    """The lines of one cause since `began`; the count repeats the line `first`."""

    began: float
    first: logging.LogRecord
    lines: int = 0
    suppressed: int = 0


class LogLimit:
    """Decides which records to write. Time is an argument, in seconds."""

    def __init__(self) -> None:
        self._windows: dict[str, _Window] = {}
        # A flush thread logs, too.
        self._lock = threading.Lock()

    def admit(self, record: logging.LogRecord, now: float) -> bool:
        """Return True to write this record. False: it only counts."""
        name, most = _cause(record)
        with self._lock:
            if name not in self._windows and len(self._windows) >= MOST_CAUSES:
                name, most = _OVERFLOW, LINES_PER_CAUSE
            window = self._windows.get(name)
            if window is None:
                window = self._windows[name] = _Window(now, record)
            if window.lines < most:
                window.lines += 1
                return True
            window.suppressed += 1
            return False

    def due(self, now: float) -> list[logging.LogRecord]:
        """End the expired windows; return a record with the count of each suppressed cause."""
        with self._lock:
            return list(self._close(now - LOG_WINDOW_S))

    def all_due(self) -> list[logging.LogRecord]:
        """End every window, since the process stops; return records like `due`."""
        return self.due(float("inf"))

    def _close(self, began_before: float) -> Iterator[logging.LogRecord]:
        over = [name for name, each in self._windows.items() if each.began <= began_before]
        for name in over:
            window = self._windows.pop(name)
            if window.suppressed:
                yield _count(window.first, window.suppressed)

    def __repr__(self) -> str:
        suppressed = sum(each.suppressed for each in self._windows.values())
        return f"<LogLimit {len(self._windows)} causes, {suppressed} lines suppressed>"


def _cause(record: logging.LogRecord) -> tuple[str, int]:
    named = getattr(record, "cause", None)
    if isinstance(named, str):
        return named, LINES_PER_CAUSE
    place = f"{record.pathname}:{record.lineno}"
    if record.exc_info and record.exc_info[0] is not None:
        kind, _, trace = record.exc_info
        return f"{place} {kind.__name__} {_origin(trace)}", LINES_PER_CAUSE
    return place, LINES_PER_PLACE


def _origin(trace: TracebackType | None) -> str:
    """Return the place that raised: two defects behind one log line are two causes."""
    if trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"


def _count(first: logging.LogRecord, suppressed: int) -> logging.LogRecord:
    return logging.LogRecord(
        first.name,
        first.levelno,
        first.pathname,
        first.lineno,
        "and %d more in the last minute like: %s",
        (suppressed, first.getMessage()),
        None,
    )
