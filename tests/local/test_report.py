"""The table that `ddb status` prints."""

import datetime as dt
from collections.abc import Mapping

import pytest

from ddb.local.status_table import report

NODE: dict[str, object] = {
    "name": "db-0",
    "address": "127.0.0.1:8081",
    "pid": 4711,
    "process": "running",
    "state": "up",
    "phase": "ready",
    "records": 1234567,
    "disk_bytes": 12_345_678,
    "hints": [
        {"for": "db-1", "count": 1200, "since": "2030-01-01T00:00:00Z"},
        {"for": "db-2", "count": 0, "since": None},
    ],
}
HINT = "1,200 for db-1, first 12 s ago"
NOW = dt.datetime(2030, 1, 1, 0, 0, 12, tzinfo=dt.UTC)
VERDICT = "READY: 2 of 3 nodes decide"
DOWN: dict[str, object] = {
    "name": "db-1",
    "address": "127.0.0.1:8082",
    "pid": None,
    "process": "stopped",
    "state": "down",
    "phase": None,
    "records": None,
    "disk_bytes": None,
    "hints": None,
}
GATEWAY = {"url": "http://127.0.0.1:8080", "pid": 1, "process": "running", "state": "up"}


def table_of(*rows: Mapping[str, object], now: dt.datetime = NOW) -> str:
    """Return the report on some nodes and, as the last row, a gateway."""
    *nodes, gateway = rows
    return report({"verdict": VERDICT, "nodes": nodes, "gateway": gateway}, now)


def test_table() -> None:
    """The verdict comes first, then every process in aligned columns."""
    assert table_of(NODE, DOWN, GATEWAY).splitlines() == [
        VERDICT,
        "",
        "NAME     ADDRESS          PID  PROCESS  STATE    RECORDS     DISK  HINTS",
        "db-0     127.0.0.1:8081  4711  running  up     1,234,567  12.3 MB  " + HINT,
        "db-1     127.0.0.1:8082     -  stopped  down           -        -  -",
        "gateway  127.0.0.1:8080     1  running  up",
    ]


@pytest.mark.parametrize(
    ("seconds", "age"),
    [
        (-5, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7199, "119 min"),
        (7200, "2 h"),
        (200000, "2 days"),
    ],
)
def test_age_of_hints(seconds: int, age: str) -> None:
    """The age of the first hint is in its largest unit, and 0 if the node's clock is ahead."""
    now = NOW + dt.timedelta(seconds=seconds - 12)
    assert f"1,200 for db-1, first {age} ago\n" in table_of(NODE, GATEWAY, now=now)


def test_joining_node_is_marked() -> None:
    """The table marks a node that rebuilds and does not vote yet."""
    table = table_of(NODE | {"phase": "joining"}, GATEWAY)
    assert "up, joining" in table


def test_damage_is_marked() -> None:
    """The table shows how many damaged partitions a node rebuilds."""
    table = table_of(NODE | {"damaged_partitions": 7}, GATEWAY)
    assert "up, rebuilding 7 damaged partitions" in table


def test_no_hints_are_shown_as_none() -> None:
    """A node without hints shows `none`, unlike a node that does not answer."""
    table = table_of(NODE | {"hints": []}, GATEWAY)
    assert table.splitlines()[3].endswith("none")
