"""The pace of handoff in the tests of a node."""

import pytest

from tests.node.standby import BATCH


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make batches small, so that a pass takes several, and take out all pauses."""
    monkeypatch.setattr("ddb.node.repair.handoff_pacing.IDLE_BATCH_HINTS", BATCH)
    monkeypatch.setattr("ddb.node.repair.handoff_pacing.BUSY_BATCH_HINTS", BATCH)
    monkeypatch.setattr("ddb.node.repair.hint_order.ALONE_CHECK_HINTS", BATCH)
    monkeypatch.setattr("ddb.node.repair.handoff_pacing.CLIENT_QUIET_S", 0.0)
    monkeypatch.setattr("ddb.node.repair.handoff_pacing.BUSY_PAUSE_FACTOR", 0.0)


@pytest.fixture
def clients_ask(small_batches: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a node count as busy for a minute after each request of a client."""
    monkeypatch.setattr("ddb.node.repair.handoff_pacing.CLIENT_QUIET_S", 60.0)
