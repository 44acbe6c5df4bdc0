"""What the acceptance tests need: one connection to the system, and order afterwards.

Each test runs over both lanes of a gateway. Against a running system it runs over that one.
"""

import os
from collections.abc import Iterator

import pytest

from tests.api.client import Api

LANES = ("running",) if "DDB_URL" in os.environ else ("fast", "asgi")


@pytest.fixture(scope="session")
def asgi_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A second gateway of the cluster, with Starlette alone."""
    from tests.cluster import Cluster, free_ports, wait_for
    from tests.process import Process, members

    cluster: Cluster = request.getfixturevalue("cluster")
    port = free_ports(1)
    command = ("gateway", "--host", "127.0.0.1", "--port", str(port), "--http-lane", "asgi")
    place = tmp_path_factory.mktemp("asgi")
    with Process(place, *command, "--members", members(cluster.port + 1)) as gateway:
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
