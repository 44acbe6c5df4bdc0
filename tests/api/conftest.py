"""What the acceptance tests need: one connection to the system, and order afterwards."""

from collections.abc import Iterator

import pytest

from tests.api.client import Api


@pytest.fixture
def api(cluster_url: str) -> Iterator[Api]:
    """The API of the system under test."""
    api = Api(cluster_url)
    yield api
    api.clean_up()
