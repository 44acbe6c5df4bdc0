"""Fixtures for tests of the gateway's HTTP."""

import pytest

from tests.gateway.connected import LANES, Lane


@pytest.fixture(params=LANES, ids=lambda lane: lane.value)
def lane(request: pytest.FixtureRequest) -> Lane:
    """Each lane of the gateway."""
    assert isinstance(request.param, Lane)
    return request.param
