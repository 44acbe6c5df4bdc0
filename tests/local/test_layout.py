"""Where a local cluster's processes listen, and what its directory remembers."""

from pathlib import Path

import pytest

from ddb.cli import process_settings
from ddb.local.layout import LocalError, load, plan, save
from ddb.settings import Fsync, LocalSettings, NodeSettings


def settings(data: Path, *, nodes: int | None = None, port: int = 8080) -> LocalSettings:
    return LocalSettings(nodes, "127.0.0.1", port, data, Fsync.ALWAYS)


def test_ports_derive_from_one(tmp_path: Path) -> None:
    """The gateway takes the port, and node i the i-th after it."""
    layout = plan(settings(tmp_path, nodes=5, port=9000))
    assert layout.address("gateway") == ("127.0.0.1", 9000)
    assert [member.port for member in layout.members] == [9001, 9002, 9003, 9004, 9005]


def test_three_nodes_unless_told(tmp_path: Path) -> None:
    """A new cluster has three nodes."""
    assert plan(settings(tmp_path)).nodes == 3


def test_number_of_nodes_is_remembered(tmp_path: Path) -> None:
    """Data made with five nodes is started with five when nothing is said."""
    save(plan(settings(tmp_path, nodes=5)))
    assert plan(settings(tmp_path)).nodes == 5
    assert load(tmp_path).nodes == 5


def test_other_number_of_nodes_is_refused(tmp_path: Path) -> None:
    """Data made with three nodes is not started with five."""
    save(plan(settings(tmp_path)))
    with pytest.raises(LocalError, match="made with 3 nodes and cannot be started with 5"):
        plan(settings(tmp_path, nodes=5))


def test_ports_past_the_last_are_refused(tmp_path: Path) -> None:
    """Ports that would not all exist are refused before anything starts."""
    with pytest.raises(LocalError, match="Choose --port 65532 or lower"):
        plan(settings(tmp_path, port=65533))


@pytest.mark.parametrize("text", ["", "[]", '{"format": 9}', "\x00"])
def test_damaged_manifest_is_refused(tmp_path: Path, text: str) -> None:
    """A manifest that cannot be understood is named, not guessed at."""
    (tmp_path / "cluster.json").write_text(text)
    with pytest.raises(LocalError, match=r"cluster\.json"):
        load(tmp_path)


def test_no_cluster_is_said(tmp_path: Path) -> None:
    """A directory without a cluster says how to start one."""
    with pytest.raises(LocalError, match="There is no local cluster in"):
        load(tmp_path)


def test_commands_are_valid_settings(tmp_path: Path) -> None:
    """The command lines of the processes carry the whole layout, whatever the environment says."""
    layout = plan(settings(tmp_path))
    environ = {"DDB_NODES": "nonsense", "PORT": "1", "DDB_NAME": "x", "DDB_HOST": "0.0.0.0"}
    environ["DDB_LOG_FILE"] = "elsewhere"
    node = process_settings(layout.command("db-1", Fsync.OS, 900)[3:], environ)
    gateway = process_settings(layout.command("gateway", Fsync.OS, 900)[3:], environ)
    assert isinstance(node, NodeSettings)
    assert node.members == gateway.members == layout.members
    assert node.port == layout.members[1].port
    assert gateway.port == layout.port
    assert node.request_budget_ms == gateway.request_budget_ms == 900
    assert node.exit_with_parent
    assert gateway.exit_with_parent
    assert (node.log_file, gateway.log_file) == (layout.log("db-1"), layout.log("gateway"))
