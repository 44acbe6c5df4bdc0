"""The rate limit of the log, by cause and time."""

import logging

import pytest

from ddb.runtime.log_limit import (
    LINES_PER_PLACE,
    LOG_WINDOW_S,
    MOST_CAUSES,
    LogLimit,
    cause,
)


def record(
    text: str, named: str | None = None, line: int = 1, error: Exception | None = None
) -> logging.LogRecord:
    """Return a record from line `line` of a file."""
    made = logging.LogRecord("x", logging.WARNING, "/x.py", line, text, (), None)
    if named is not None:
        made.__dict__.update(cause(named))
    if error is not None:
        made.exc_info = (type(error), error, error.__traceback__)
    return made


def written(limit: LogLimit, records: list[logging.LogRecord], now: float) -> list[str]:
    """Return the records that the limit admits at `now`."""
    return [each.getMessage() for each in records if limit.admit(each, now)]


def counts(limit: LogLimit, now: float) -> list[str]:
    """Return the counts that are due."""
    return [each.getMessage() for each in limit.due(now)]


def raised(kind: type[Exception]) -> Exception:
    """Return an exception with a traceback."""
    try:
        raise kind("secret")
    except Exception as error:  # noqa: BLE001
        return error


def test_flood_of_one_cause_is_a_line_and_a_count() -> None:
    """The first of 500 lines of one cause passes, and after a minute a count of the others."""
    limit = LogLimit()
    flood = [record(f"closing {number}", "close", line=number) for number in range(500)]
    assert written(limit, flood, 0.0) == ["closing 0"]
    assert counts(limit, LOG_WINDOW_S - 0.001) == []
    assert counts(limit, LOG_WINDOW_S) == ["and 499 more in the last minute like: closing 0"]
    assert counts(limit, 10 * LOG_WINDOW_S) == []


def test_lasting_flood_is_a_line_and_a_count_per_minute() -> None:
    """A flood of an hour writes two lines a minute, and the counts cover all lines."""
    limit = LogLimit()
    lines, counted = 0, 0
    for second in range(3600):
        counted += sum(int(each.split()[1]) for each in counts(limit, float(second)))
        lines += len(written(limit, [record("again", "flood")] * 10, float(second)))
    counted += sum(int(each.split()[1]) for each in counts(limit, 3600.0))
    assert lines == 60
    assert lines + counted == 36_000


def test_causes_are_counted_apart() -> None:
    """A flood of one cause hides no line of another."""
    limit = LogLimit()
    assert written(limit, [record("a", "a")] * 5 + [record("b", "b")] * 5, 0.0) == ["a", "b"]


def test_single_line_has_no_count() -> None:
    """A single line passes, and no count follows."""
    limit = LogLimit()
    assert written(limit, [record("once", "once")], 0.0) == ["once"]
    assert counts(limit, LOG_WINDOW_S) == []


def test_invented_causes_share_one() -> None:
    """Invented causes get at most one line each up to the limit, and one line in common."""
    limit = LogLimit()
    invented = [record("x", f"caller {number}") for number in range(10 * MOST_CAUSES)]
    assert len(written(limit, invented, 0.0)) == MOST_CAUSES + 1
    assert counts(limit, LOG_WINDOW_S)[-1].startswith(f"and {9 * MOST_CAUSES - 1} more")


def test_place_without_a_cause_is_bounded_too() -> None:
    """Lines without a cause count by their place in the source."""
    limit = LogLimit()
    lines = [record(f"state {number}") for number in range(100)]
    assert len(written(limit, lines, 0.0)) == LINES_PER_PLACE
    assert len(written(limit, [record("elsewhere", line=2)], 0.0)) == 1


@pytest.mark.parametrize("times", [2, 100])
def test_defect_is_written_once_per_origin(times: int) -> None:
    """Each place that raises gets one traceback a minute, from any line that logs it."""
    limit = LogLimit()
    one, other = raised(ValueError), raised(KeyError)
    records = [record("failed", error=one), record("failed", error=other)] * times
    assert len(written(limit, records, 0.0)) == 2


def test_counts_at_the_end_of_the_process() -> None:
    """A process that stops also writes the counts of unexpired windows."""
    limit = LogLimit()
    written(limit, [record("x", "x")] * 3, 5.0)
    assert [each.getMessage() for each in limit.all_due()] == [
        "and 2 more in the last minute like: x"
    ]
