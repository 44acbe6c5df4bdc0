"""Settings: a flag wins over the environment, and the environment over the default.

`table` lists every setting once. `processes` reads the table into one frozen object per process.
No other module reads the environment.
"""

from ddb.settings.choices import Fsync, HttpLane
from ddb.settings.members import MAX_NODES, MIN_NODES, Member
from ddb.settings.processes import (
    Flags,
    GatewaySettings,
    LocalSettings,
    NodeSettings,
    gateway_settings,
    local_data,
    local_settings,
    names_cluster,
    node_settings,
)
from ddb.settings.table import DEFAULT_BUDGET_MS, MAX_BUDGET_MS, MIN_BUDGET_MS
from ddb.settings.values import LAST_PORT, SettingsError

__all__ = [
    "DEFAULT_BUDGET_MS",
    "LAST_PORT",
    "MAX_BUDGET_MS",
    "MAX_NODES",
    "MIN_BUDGET_MS",
    "MIN_NODES",
    "Flags",
    "Fsync",
    "GatewaySettings",
    "HttpLane",
    "LocalSettings",
    "Member",
    "NodeSettings",
    "SettingsError",
    "gateway_settings",
    "local_data",
    "local_settings",
    "names_cluster",
    "node_settings",
]
