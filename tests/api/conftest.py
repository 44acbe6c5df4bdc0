"""The API under test: one connection to the system per test.

Each test runs twice against a new cluster: over the fast lane, and over Starlette alone. It runs
once against the running system that `DDB_URL` names. Afterwards `clean_up` deletes its users.
"""

import os
from collections.abc import Iterator

import pytest

from tests.http.api import Api

LANES = ("running",) if "DDB_URL" in os.environ else ("fast", "asgi")


@pytest.fixture(scope="session")
def asgi_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The URL of a second gateway of the cluster, with Starlette alone."""
    from tests.cluster import Cluster, free_ports, wait_for
    from tests.process import Process, members

    cluster: Cluster = request.getfixturevalue("cluster")
    port = free_ports(1)
    command = ("gateway", "--host", "127.0.0.1", "--port", str(port), "--http-lane", "asgi")
    directory = tmp_path_factory.mktemp("asgi")
    with Process(directory, *command, "--members", members(cluster.port + 1)) as gateway:
        api = Api(f"http://127.0.0.1:{port}")

        def ready() -> bool:
            try:
                return api.call("GET", "/readyz").status == 200
            except ConnectionError:
                return False

        assert wait_for(ready, 20), gateway.output
        api.clean_up()
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(params=LANES)
def api(request: pytest.FixtureRequest) -> Iterator[Api]:
    """The API of the system under test."""
    url = request.getfixturevalue("asgi_url" if request.param == "asgi" else "cluster_url")
    api = Api(url)
    yield api
    api.clean_up()
