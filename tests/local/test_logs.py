"""The logs of the processes of `ddb up`, and their bounds."""

import socket
from pathlib import Path

from ddb.runtime.log_file import LOG_FILE_BYTES
from tests.cluster import Cluster, wait_for

STRAYS = 500
MOST_LINES = 5


def strays(port: int, count: int) -> None:
    """Send invalid bytes on `count` connections, and wait until the process closes each."""
    for _ in range(count):
        with socket.create_connection(("127.0.0.1", port), 10) as stray:
            stray.sendall(b"\xff" * 64)
            try:
                while stray.recv(1024):
                    pass
            except ConnectionError:
                continue


def text(path: Path) -> str:
    """Return the content of a log."""
    return path.read_text(encoding="utf-8")


def test_logs_of_a_cluster_are_bounded(tmp_path: Path) -> None:
    """A flood writes one line, a restart keeps older files, and a full file rotates."""
    with Cluster(tmp_path) as cluster:
        log = cluster.data / "db-1.log"
        before = len(text(log).splitlines())
        strays(cluster.port + 2, STRAYS)
        strays(cluster.port, STRAYS)
        assert len(text(log).splitlines()) - before <= MOST_LINES
        assert len(text(cluster.data / "gateway.log").splitlines()) <= before + MOST_LINES
        # A process that ends writes the number of suppressed lines.
        cluster.do("stop", "db-1")
        assert f"and {STRAYS - 1} more in the last minute like: closing the connection" in text(log)
        first = text(log)
        cluster.do("start", "db-1")
        assert text(log.with_name("db-1.log.1")) == first
        cluster.do("kill", "db-1")
        cluster.do("start", "db-1")
        assert text(log.with_name("db-1.log.2")) == first
        assert "listens on" in text(log.with_name("db-1.log.1"))
        cluster.do("kill", "db-1")
        cluster.do("start", "db-1")
        assert sorted(path.name for path in cluster.data.glob("db-1.log*")) == [
            "db-1.log",
            "db-1.log.1",
            "db-1.log.2",
        ]
        with log.open("ab") as file:
            file.write(b"x" * LOG_FILE_BYTES)
        strays(cluster.port + 2, 1)
        assert wait_for(lambda: "a frame of" in text(log), 10)
        assert "listens on" not in text(log)
        assert log.with_name("db-1.log.1").stat().st_size > LOG_FILE_BYTES
