"""The addresses of a local cluster's processes, and the manifest in its data directory."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from ddb.cli import process_settings, up_flags
from ddb.local.layout import GATEWAY, Layout, LocalError, load, plan, save
from ddb.settings import (
    Fsync,
    GatewaySettings,
    HttpLane,
    LocalSettings,
    NodeSettings,
    local_settings,
)
from ddb.settings.table import (
    DDB_FSYNC,
    DDB_HTTP_LANE,
    DDB_REQUEST_BUDGET_MS,
    TABLE,
    Variable,
    passed_on,
)

PASSED_ON: dict[Variable[object], str] = {
    DDB_FSYNC: "os",
    DDB_REQUEST_BUDGET_MS: "900",
    DDB_HTTP_LANE: "asgi",
}
"""Each setting that `ddb up` passes on, with a value other than its default."""


def settings(data: Path, *, nodes: int | None = None, port: int = 8080) -> LocalSettings:
    """The settings of `ddb up` in a directory."""
    return LocalSettings(nodes, "127.0.0.1", port, data, PASSED_ON)


def started(
    layout: Layout, values: Mapping[Variable[object], str], environ: Mapping[str, str]
) -> tuple[NodeSettings, GatewaySettings]:
    """The settings of db-1 and of the gateway, read from their own command lines."""
    node = process_settings(layout.command("db-1", values)[3:], environ)
    gateway = process_settings(layout.command(GATEWAY, values)[3:], environ)
    assert isinstance(node, NodeSettings)
    assert isinstance(gateway, GatewaySettings)
    return node, gateway


def test_ports_derive_from_one(tmp_path: Path) -> None:
    """The gateway takes the port, and node i the i-th after it."""
    layout = plan(settings(tmp_path, nodes=5, port=9000))
    assert layout.address("gateway") == ("127.0.0.1", 9000)
    assert [member.port for member in layout.members] == [9001, 9002, 9003, 9004, 9005]


def test_new_cluster_has_three_nodes(tmp_path: Path) -> None:
    """A new cluster has three nodes if no number is set."""
    assert plan(settings(tmp_path)).nodes == 3


def test_existing_data_decides_the_number_of_nodes(tmp_path: Path) -> None:
    """Data of five nodes starts with five if no number is set."""
    save(plan(settings(tmp_path, nodes=5)))
    assert plan(settings(tmp_path)).nodes == 5
    assert load(tmp_path).nodes == 5


def test_other_number_of_nodes_is_refused(tmp_path: Path) -> None:
    """Data of three nodes does not start with five."""
    save(plan(settings(tmp_path)))
    with pytest.raises(LocalError, match="is of 3 nodes and cannot start with 5"):
        plan(settings(tmp_path, nodes=5))


def test_ports_past_the_last_are_refused(tmp_path: Path) -> None:
    """`ddb up` refuses a port that leaves too few ports for the nodes."""
    with pytest.raises(LocalError, match="Choose --port 65532 or lower"):
        plan(settings(tmp_path, port=65533))


@pytest.mark.parametrize("text", ["", "[]", '{"format": 9}', "\x00"])
def test_damaged_manifest_is_refused(tmp_path: Path, text: str) -> None:
    """The error for an unreadable manifest names the file."""
    (tmp_path / "cluster.json").write_text(text)
    with pytest.raises(LocalError, match=r"cluster\.json"):
        load(tmp_path)


def test_missing_cluster_is_reported(tmp_path: Path) -> None:
    """The error for a directory without a cluster names the command that starts one."""
    with pytest.raises(LocalError, match=r"There is no local cluster in .* `ddb up`"):
        load(tmp_path)


def test_command_lines_win_over_the_environment(tmp_path: Path) -> None:
    """Each process gets every setting from `ddb up` and none from a hostile environment."""
    layout = plan(settings(tmp_path))
    environ = {variable.name: "\0" for variable in TABLE}
    values = {variable: PASSED_ON[variable] for variable in passed_on()}
    node, gateway = started(layout, values, environ)
    assert node.members == gateway.members == layout.members
    assert (node.name, node.host, node.port) == ("db-1", "127.0.0.1", layout.members[1].port)
    assert (gateway.host, gateway.port) == (layout.host, layout.port)
    assert node.data == layout.data / "db-1"
    assert node.exit_with_parent
    assert gateway.exit_with_parent
    assert (node.log_file, gateway.log_file) == (layout.log("db-1"), layout.log("gateway"))


def test_flags_of_up_reach_its_processes(tmp_path: Path) -> None:
    """`ddb up` passes each shared setting on to every process that takes it."""
    assert set(PASSED_ON) == set(passed_on())
    arguments = [part for variable, text in PASSED_ON.items() for part in (variable.flag, text)]
    given = local_settings({}, up_flags([*arguments, "--data", str(tmp_path)]))
    node, gateway = started(plan(given), given.passed_on, {})
    assert node.fsync is Fsync.OS
    assert node.request_budget_ms == gateway.request_budget_ms == 900
    assert gateway.http_lane is HttpLane.ASGI
