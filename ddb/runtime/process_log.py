"""The log of a process: one line per record on standard error, bounded in rate and in size."""

import asyncio
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ddb.runtime.log_file import LogFile
from ddb.runtime.log_limit import LogLimit

COUNTS_EVERY_S = 5.0
"""Seconds between two checks for expired windows.

Too low: an idle process wakes without need. Too high: counts come late.
"""


class LogRefused(Exception):
    """The log file is not writable; the message is for the operator."""


class ProcessLog(logging.Handler):
    """Writes the records that `limit` admits to standard error.

    `file`: the log file behind standard error, or None. The handler limits its size.
    """

    def __init__(
        self, limit: LogLimit, file: LogFile | None, now: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        self._limit = limit
        self._file = file
        self._now = now

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record. `logging` calls this under the handler's lock."""
        if self._limit.admit(record, self._now()):
            self._write(record)

    def write_counts(self) -> None:
        """Write the counts of suppressed lines that are due."""
        self._write_all(self._limit.due(self._now()))

    def close(self) -> None:
        """Write all counts. `logging` calls this at the end of the process."""
        self._write_all(self._limit.all_due())
        super().close()

    def _write_all(self, records: list[logging.LogRecord]) -> None:
        self.acquire()
        try:
            for record in records:
                self._write(record)
        finally:
            self.release()

    def _write(self, record: logging.LogRecord) -> None:
        try:
            line = f"{self.format(record)}\n"
            if self._file is not None:
                self._file.make_room(len(line.encode(errors="backslashreplace")))
            sys.stderr.write(line)
            sys.stderr.flush()
        except (OSError, TypeError, ValueError):
            # The disk is full, the terminal is closed, or the arguments do not fit the line.
            self.handleError(record)

    def __repr__(self) -> str:
        return f"<ProcessLog {self._limit!r} {self._file!r}>"


def start_log(path: Path | None) -> ProcessLog:
    """Send every log line of this process to standard error, or to the file at `path`.

    Raises `LogRefused` if that file is not writable.
    """
    try:
        file = None if path is None else LogFile(path)
    except OSError as error:
        raise LogRefused(
            f"the log {path} cannot be written: {error.strerror}. The process does not start, and"
            " no data is affected. Choose another file with --log-file, or omit the option"
        ) from error
    handler = ProcessLog(LogLimit(), file)
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    return handler


def keep_counts(handler: ProcessLog) -> None:
    """Write due counts now, and every few seconds on the running loop."""
    handler.write_counts()
    asyncio.get_running_loop().call_later(COUNTS_EVERY_S, keep_counts, handler)
