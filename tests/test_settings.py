"""Settings from flags, environment and defaults."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddb.settings import (
    DEFAULT_BUDGET_MS,
    Flags,
    Fsync,
    HttpLane,
    Member,
    NodeSettings,
    SettingsError,
    gateway_settings,
    local_settings,
    node_settings,
)
from ddb.settings.table import (
    DB_N,
    DB_PORT,
    DDB_FSYNC,
    DDB_HTTP_LANE,
    DDB_LOG_FILE,
    DDB_NAME,
    DDB_NODES,
    DDB_REQUEST_BUDGET_MS,
    PORT,
    TABLE,
    Command,
    variables_of,
)
from ddb.wire.timeouts import DEFAULT_BUDGET_S

LIST = "a=h1:7001,b=h2:7002,c=h3:7003"


def node(
    environ: dict[str, str] | None = None, flags: Flags | None = None, hostname: str = "db-0"
) -> NodeSettings:
    return node_settings(environ or {}, flags or {}, hostname=hostname)


def refusal(environ: dict[str, str], hostname: str = "db-0") -> str:
    with pytest.raises(SettingsError) as caught:
        node(environ, hostname=hostname)
    return str(caught.value)


def test_defaults() -> None:
    """By default a node is one of three containers named db-0 to db-2 on port 8081."""
    assert node() == NodeSettings(
        name="db-0",
        host="0.0.0.0",
        port=8081,
        data=Path("data/db-0"),
        members=tuple(Member(f"db-{number}", f"db-{number}", 8081) for number in range(3)),
        fsync=Fsync.ALWAYS,
        exit_with_parent=False,
    )


def test_log_file_is_absolute() -> None:
    """A relative log file becomes absolute; an empty setting gives no log file."""
    assert node({"DDB_LOG_FILE": "x.log"}).log_file == Path("x.log").absolute()
    assert gateway_settings({}, {DDB_LOG_FILE: "/y.log"}).log_file == Path("/y.log")
    assert gateway_settings({"DDB_LOG_FILE": ""}, {}).log_file is None


def test_count_and_port_make_the_member_list() -> None:
    """DB_N and DB_PORT name the nodes, their hosts and their common port."""
    settings = gateway_settings({"DB_N": "5", "DB_PORT": "9001", "PORT": "80"}, {})
    assert [member.name for member in settings.members] == [f"db-{n}" for n in range(5)]
    assert {member.port for member in settings.members} == {9001}
    assert settings.port == 80


def test_member_list_wins_over_count() -> None:
    """DDB_NODES wins over DB_N and DB_PORT."""
    settings = node({"DDB_NODES": LIST, "DB_N": "9", "DB_PORT": "1"}, hostname="b")
    assert settings.members == (
        Member("a", "h1", 7001),
        Member("b", "h2", 7002),
        Member("c", "h3", 7003),
    )
    assert (settings.name, settings.port) == ("b", 7002)


def test_name_defaults_to_first_label_of_host() -> None:
    """The first label of a full domain name is the node's name."""
    assert node(hostname="db-2.ddb.example").name == "db-2"


def test_flag_wins_over_environment() -> None:
    """A flag wins over the environment."""
    flags = {DDB_NAME: "c", DB_PORT: "7777", DDB_NODES: LIST, DDB_FSYNC: "os", PORT: None}
    settings = node({"DDB_NAME": "a", "DDB_NODES": "x", "DDB_FSYNC": "always"}, flags)
    assert (settings.name, settings.port, settings.fsync) == ("c", 7777, Fsync.OS)


def test_every_process_takes_the_request_budget() -> None:
    """Nodes, gateways and local clusters take the budget; a flag wins over the environment."""
    environ = {"DDB_REQUEST_BUDGET_MS": "1000"}
    assert node(environ).request_budget_ms == 1000
    assert gateway_settings(environ, {}).request_budget_ms == 1000
    local = local_settings(environ, {DDB_REQUEST_BUDGET_MS: "400"})
    assert local.passed_on[DDB_REQUEST_BUDGET_MS] == "400"
    assert node().request_budget_ms == DEFAULT_BUDGET_MS == DEFAULT_BUDGET_S * 1000


def test_empty_variable_counts_as_missing() -> None:
    """An empty environment variable counts as missing."""
    assert node({"DB_N": "", "DDB_NODES": "", "DDB_FSYNC": "", "DDB_NAME": ""}) == node()


def test_ipv6_address() -> None:
    """The member list takes an IPv6 address in brackets."""
    settings = node({"DDB_NODES": "a=[::1]:1,b=[::1]:2,c=[fe80::1]:3"}, hostname="a")
    assert settings.members[0] == Member("a", "::1", 1)


def test_local_cluster_listens_on_this_machine_only() -> None:
    """By default a local cluster listens on the loopback address only."""
    settings = local_settings({}, {})
    assert (settings.host, settings.port, settings.nodes) == ("127.0.0.1", 8080, None)
    assert settings.data == Path("data")
    assert local_settings({}, {DB_N: "5"}).nodes == 5


@pytest.mark.parametrize(
    ("environ", "part"),
    [
        ({"DB_N": "2"}, "Set DB_N to a whole number from 3 to 255."),
        ({"DB_N": "256"}, "DB_N is '256'"),
        ({"DB_N": "three"}, "DB_N is 'three'"),
        ({"DB_N": "-3"}, "DB_N is '-3'"),
        ({"DB_N": "³"}, "DB_N is '³'"),
        ({"DB_N": "9" * 5000}, "to a whole number"),
        ({"DB_PORT": "0"}, "Set DB_PORT to a port from 1 to 65535."),
        ({"DB_PORT": "65536"}, "DB_PORT is '65536'"),
        ({"DDB_HOST": "a b"}, "DDB_HOST is 'a b'"),
        ({"DDB_REQUEST_BUDGET_MS": "99"}, "to a whole number of milliseconds from 100 to"),
        ({"DDB_REQUEST_BUDGET_MS": "10001"}, "DDB_REQUEST_BUDGET_MS is '10001'"),
        ({"DDB_REQUEST_BUDGET_MS": "0.2"}, "DDB_REQUEST_BUDGET_MS is '0.2'"),
        ({"DDB_FSYNC": "never"}, "Set DDB_FSYNC to 'always'"),
        ({"DDB_DATA": "a\0b"}, "to the path of a directory"),
        ({"DDB_NAME": "db-7"}, "DDB_NAME is 'db-7': the cluster's nodes are db-0, db-1, db-2"),
        ({"DDB_NODES": "a=h:1,b=h:2"}, "3 to 255 nodes, not 2"),
        ({"DDB_NODES": "a=h:1,a=h:2,c=h:3"}, "a is in the list more than once"),
        ({"DDB_NODES": "a=h:1,b=h:1,c=h:3"}, "two nodes cannot share the address h:1"),
        ({"DDB_NODES": "a=h:1,b=h:2,c=h"}, "'c=h' is not name=host:port"),
        ({"DDB_NODES": "a=h:1,b=h:2,c=:3"}, "'' is not a valid host"),
        ({"DDB_NODES": "a=h:1,b=h:2,"}, "'' is not name=host:port"),
        ({"DDB_NODES": "a=h:1,b=h:2,c=h:x"}, "'x' in 'c=h:x' is not a port"),
        ({"DDB_NODES": "a=h:1,b=h:2,C=h:3"}, "'C' is not a valid name of a node"),
        ({"DDB_NODES": f"a=h:1,b=h:2,{'c' * 64}=h:3"}, "is not a valid name of a node"),
        ({"DDB_NODES": "a=h:1,b=h:2,c-=h:3"}, "'c-' is not a valid name of a node"),
    ],
)
def test_misconfiguration_is_named(environ: dict[str, str], part: str) -> None:
    """The error names the setting and its value, the effect on data, and the accepted values."""
    sentence = refusal(environ)
    assert part in sentence
    assert next(iter(environ)) in sentence
    assert "no data is affected. Set " in sentence


def test_flag_is_named_by_its_flag() -> None:
    """The error for a flag names the flag, not the environment variable."""
    with pytest.raises(SettingsError, match=r"^--port is 'x'"):
        gateway_settings({}, {PORT: "x"})


def test_foreign_host_name_is_explained() -> None:
    """The error for a host name outside the cluster lists the nodes."""
    assert "the cluster's nodes are db-0" in refusal({}, hostname="laptop")


@given(st.dictionaries(st.sampled_from(["DB_N", "DB_PORT", "DDB_NODES", "DDB_FSYNC"]), st.text()))
def test_any_text_gives_settings_or_an_error(environ: dict[str, str]) -> None:
    """Every text in the environment gives settings or a SettingsError."""
    try:
        settings = node(environ)
    except SettingsError:
        return
    assert 3 <= len(settings.members) <= 255


def test_http_lane() -> None:
    """The default is the fast lane; the gateway refuses any value but fast and asgi."""
    assert gateway_settings({}, {}).http_lane is HttpLane.FAST
    assert gateway_settings({"DDB_HTTP_LANE": "asgi"}, {}).http_lane is HttpLane.ASGI
    assert gateway_settings({"DDB_HTTP_LANE": "asgi"}, {DDB_HTTP_LANE: "fast"}).http_lane is (
        HttpLane.FAST
    )
    with pytest.raises(SettingsError, match="DDB_HTTP_LANE is 'slow'"):
        gateway_settings({"DDB_HTTP_LANE": "slow"}, {})


def test_local_settings_are_checked_before_processes_start() -> None:
    """`ddb up` itself refuses a wrong value of a setting that it passes on."""
    with pytest.raises(SettingsError, match=r"^DDB_HTTP_LANE is 'slow'"):
        local_settings({"DDB_HTTP_LANE": "slow"}, {})


def test_names_and_flags_are_unique() -> None:
    """No two settings share a variable, and no two settings of one command share a flag."""
    assert len({variable.name for variable in TABLE}) == len(TABLE)
    for command in Command:
        flags = [variable.flag for variable in variables_of(command)]
        assert len(set(flags)) == len(flags)
