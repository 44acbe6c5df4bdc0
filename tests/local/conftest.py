"""The data of a stopped cluster, for tests that copy it."""

import shutil
import time
from pathlib import Path

import pytest

from ddb.node.storage.rocksdb import MARK_INTERVAL_S
from tests.cluster import Cluster
from tests.http.client import Client

USERS = 60


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of a stopped cluster with `USERS` users.

    The fixture kills db-2, whose log then still has the users. It stops the other nodes.
    """
    with Cluster(tmp_path_factory.mktemp("stored")) as cluster:
        with Client(cluster.url) as client:
            for number in range(USERS):
                user = {"id": f"u{number}", "name": "A", "email": "a@b.co", "group": number}
                assert client.call("POST", "/api/users/", user).status == 201
        # The durable mark must cover these writes: only then does a truncated log show.
        time.sleep(2 * MARK_INTERVAL_S)
        cluster.do("kill", "db-2")
        assert cluster.stop() == 0
    return cluster.data


@pytest.fixture
def data(stored: Path, tmp_path: Path) -> Path:
    """A copy of the stored data, for one test to damage."""
    return shutil.copytree(stored, tmp_path / "data", ignore=shutil.ignore_patterns("*.sock"))
