"""Run a cluster on a file system without free inodes, in a separate mount namespace.

    python -m tests.local.no_inodes DIRECTORY

It exits with an error if a node behaves wrongly.
"""

import subprocess
import sys
import threading
import time
from pathlib import Path

from tests.cluster import Cluster, wait_for

INODES = 400
LOG_INODES = 10
"""Enough for the log of a node, too few for its store."""
USER = {"name": "n", "email": "a@example.com", "group": 0}
NAMES = ("db-0", "db-1", "db-2")


def main(directory: Path) -> None:
    """Fill the file system with empty files, test the cluster, and free inodes again."""
    options = ("-t", "tmpfs", "-o", f"size=600m,nr_inodes={INODES}")
    subprocess.run(["mount", *options, "none", str(directory)], check=True)
    with Cluster(directory) as cluster:
        assert cluster.request("POST", "/api/users/", {"id": "before"} | USER)[0] == 201
        ballast = _take_inodes(directory)
        # A node measures its free space ten times a second.
        time.sleep(0.5)
        for method, path, body in (
            ("POST", "/api/users/", {"id": "after"} | USER),
            ("PUT", "/api/users/before", {"group": 1}),
            ("DELETE", "/api/users/before", None),
        ):
            status, answer = cluster.request(method, path, body)
            assert isinstance(answer, dict)
            assert (status, answer["applied"]) == (503, "no"), answer
            assert "is full: it has too few free inodes" in answer["message"], answer
        assert cluster.request("GET", "/api/users/before") == (200, {"id": "before"} | USER)
        assert cluster.request("GET", "/api/users/count") == (200, {"count": 1})
        table = cluster.ctl("status").stdout
        assert table.count("disk full: inodes") == len(NAMES), table

        cluster.do("stop", "db-1")
        refused = cluster.ctl("start", "db-1")
        assert refused.returncode == 1, refused.stdout
        assert "db-1 cannot start" in refused.stderr, refused.stderr
        for file in ballast[:LOG_INODES]:
            file.unlink()
        # The command returns once the node listens, or after 30 s.
        starting = threading.Thread(target=cluster.do, args=("start", "db-1"))
        starting.start()
        waits = "inodes free, and to open it may take"
        assert wait_for(lambda: waits in cluster.logs(), 20), cluster.logs()

        for file in ballast[LOG_INODES:]:
            file.unlink()
        assert wait_for(lambda: _creates(cluster), 20), cluster.logs()
        starting.join()
        assert wait_for(lambda: cluster.node("db-1")["state"] == "up", 20), cluster.logs()


def _take_inodes(directory: Path) -> list[Path]:
    """Make empty files until the file system refuses, and return them."""
    made: list[Path] = []
    try:
        while True:
            file = directory / f"ballast.{len(made)}"
            file.touch()
            made.append(file)
    except OSError:
        return made


def _creates(cluster: Cluster) -> bool:
    return cluster.request("POST", "/api/users/", USER)[0] == 201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
