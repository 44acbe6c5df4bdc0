"""The table that `ddb status` prints."""

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
HINT = "1,200 for db-1 since 2030-01-01T00:00:00Z"
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


def test_table() -> None:
    """The table shows every process in aligned columns, and the requests per operation below."""
    status: dict[str, object] = {
        "nodes": [NODE, DOWN],
        "gateway": GATEWAY,
        "requests_per_operation": 2.0,
    }
    assert report(status).splitlines() == [
        "NAME     ADDRESS          PID  PROCESS  STATE    RECORDS     DISK  HINTS",
        "db-0     127.0.0.1:8081  4711  running  up     1,234,567  12.3 MB  " + HINT,
        "db-1     127.0.0.1:8082     -  stopped  down           -        -  -",
        "gateway  127.0.0.1:8080     1  running  up",
        "",
        "2.00 requests between processes per operation",
    ]


def test_joining_node_is_marked() -> None:
    """The table marks a node that rebuilds and does not vote yet."""
    table = report({"nodes": [NODE | {"phase": "joining"}], "gateway": GATEWAY})
    assert "up, joining" in table


def test_damage_is_marked() -> None:
    """The table shows how many damaged partitions a node rebuilds."""
    table = report({"nodes": [NODE | {"damaged_partitions": 7}], "gateway": GATEWAY})
    assert "up, rebuilding 7 damaged partitions" in table


def test_no_hints_are_shown_as_none() -> None:
    """A node without hints shows `none`, unlike a node that does not answer."""
    table = report({"nodes": [NODE | {"hints": []}], "gateway": GATEWAY})
    assert table.splitlines()[1].endswith("none")
