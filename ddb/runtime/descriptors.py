"""The limit of file descriptors of this process, and its shares.

A process at its limit fails wherever it needs the next descriptor. RocksDB cannot create a table,
or a link cannot connect. Every consumer therefore has a fixed share. The shares add up to less than
the limit. Only connections from clients and gateways can grow, so they have the cap.
"""

import errno
import os
import resource
from dataclasses import dataclass

DESCRIPTOR_CEILING = 65_536
"""The most descriptors a process asks for.

Too low: clients meet the cap. Too high: under a container engine's limit of a billion, code that
iterates over all possible descriptors takes seconds.
"""
PROCESS_RESERVE = 32
"""Descriptors for the runtime.

Streams, event loop, listening socket and signals take 14 (measured). Name look-ups take up to 12:
four threads with three each. The others are for connections between accept and the cap.

Too low: a look-up meets the limit. Too high: clients meet the cap early under a small limit.
"""
LINK_DESCRIPTORS = 2
"""Descriptors per link to a node: the connection, and the next one while the old one closes."""
MEMBER_CONNECTIONS = 2
"""Connections that a node accepts from each other node: the present one and the previous one.

The previous one stays until it times out.
"""
STRANGER_CONNECTIONS = 16
"""Accepted connections at once that have not sent a Hello.

Too low: `ddb status` and health checks displace each other. Too high: strangers take the
descriptors of gateways.
"""
FEWEST_GATEWAYS = 8
"""The least connections from gateways; a node with less room does not start."""
STORE_RESERVE = 44
"""Descriptors of the store in addition to its table cache.

An idle store takes 11 (measured): logs, manifest, locks, directories. A store that writes 680 MB at
full speed takes 43. RocksDB opens the tables of a scan or a compaction even beyond its cache.

Too low: a flush or a compaction meets the limit, and RocksDB refuses all writes from then on.
"""
FEWEST_TABLES = 20
"""RocksDB's own lower bound for `max_open_files`."""
MOST_TABLES = 8_192
"""The most open tables: half a terabyte at 64 MB per table.

Too low: reads reopen tables. Too high: each open table keeps its index and filter in memory.
"""
TABLE_SHARE = 8
"""Divisor of the limit: one descriptor in eight is for open tables.

Too low: gateways meet their cap. Too high: a large store under a small limit reopens tables.
"""


class TooFewDescriptors(Exception):
    """The limit is below the sum of the least shares; the message is for the operator."""


@dataclass(frozen=True, slots=True)
class NodeShares:
    """The shares of a node's descriptors; `tables` is RocksDB's `max_open_files`."""

    limit: int
    tables: int
    strangers: int
    gateways: int


def raise_limit() -> int:
    """Raise this process's soft limit as far as possible; return the limit in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTOR_CEILING
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return limit_in_force()
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        # Some systems have a lower maximum of their own; the old limit stays in force.
        return limit_in_force()
    return wanted


def limit_in_force() -> int:
    """Return this process's soft limit, at most `DESCRIPTOR_CEILING`."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return DESCRIPTOR_CEILING
    return min(soft, DESCRIPTOR_CEILING)


def gateway_reserve(nodes: int) -> int:
    """Return the descriptors that a gateway with links to `nodes` nodes keeps from its clients."""
    return PROCESS_RESERVE + LINK_DESCRIPTORS * nodes


def client_connection_limit(reserve: int) -> int:
    """Return the most client connections if other uses take `reserve` descriptors.

    Raises `TooFewDescriptors` if that leaves none.
    """
    limit = limit_in_force()
    if limit <= reserve:
        raise TooFewDescriptors(_too_few(limit, reserve + 1))
    return limit - reserve


def tables_in(limit: int) -> int:
    """Return RocksDB's `max_open_files` under a limit."""
    return min(MOST_TABLES, max(FEWEST_TABLES, limit // TABLE_SHARE))


def node_shares(limit: int, nodes: int) -> NodeShares:
    """Divide `limit` for a node of a cluster of `nodes`. Raises `TooFewDescriptors`."""
    tables = tables_in(limit)
    peers = (nodes - 1) * (LINK_DESCRIPTORS + MEMBER_CONNECTIONS)
    reserve = PROCESS_RESERVE + STORE_RESERVE + tables + peers + STRANGER_CONNECTIONS
    room = limit - reserve
    if room < FEWEST_GATEWAYS:
        fixed = reserve - tables + FEWEST_GATEWAYS
        # Tables take a share of the limit, so a sufficient limit exceeds the sum of the others.
        enough = max(fixed + FEWEST_TABLES, -(-fixed * TABLE_SHARE // (TABLE_SHARE - 1)))
        raise TooFewDescriptors(_too_few(limit, enough))
    # The other half is for bursts of the store.
    return NodeShares(limit, tables, STRANGER_CONNECTIONS, max(FEWEST_GATEWAYS, room // 2))


def exhausted(error: BaseException | str) -> bool:
    """Return True if an error means that the process or machine has no descriptor left.

    Errors of RocksDB have the system's message, and no number.
    """
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return True
    return any(os.strerror(number) in str(error) for number in (errno.EMFILE, errno.ENFILE))


def _too_few(limit: int, needed: int) -> str:
    return (
        f"the limit of {limit} file descriptors is too low, and the process does not start."
        f" No data is affected. Allow at least {needed} (`ulimit -n {needed}`) and start it again"
    )
