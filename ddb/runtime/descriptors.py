"""File descriptors of this process: the limit in force, and the shares it is divided into.

A process that meets its limit fails where the next descriptor happens to be needed: RocksDB cannot
create a table, a link cannot connect. So every consumer has a share fixed at the start, and the
shares add up to less than the limit. Only connections from outside can grow, so they take the cap.
"""

import errno
import os
import resource
from dataclasses import dataclass

DESCRIPTOR_CEILING = 65_536
"""The most descriptors a process asks for.

Too low: clients meet the cap. Too high: a container engine's limit of a billion is taken at its
word, and whatever walks over all possible descriptors takes seconds.
"""
PROCESS_RESERVE = 32
"""Descriptors for the runtime: 14 measured (streams, event loop, listening socket, signals), the
rest for name look-ups (four threads with three each) and connections between accept and the cap.

Too low: a look-up meets the limit. Too high: clients meet the cap early under a small limit.
"""
LINK_DESCRIPTORS = 2
"""Descriptors per link to a node: the connection, and the next one while the old one closes."""
MEMBER_CONNECTIONS = 2
"""Connections accepted from each other node: its link's, and the old one until it times out."""
STRANGER_CONNECTIONS = 16
"""Accepted connections at once that have not sent a Hello.

Too low: `ddb status` and health checks push each other out. Too high: connections that nothing is
known about take the descriptors of gateways.
"""
FEWEST_GATEWAYS = 8
"""Connections from gateways that a node must have room for, or it does not start."""
STORE_BESIDE_TABLES = 44
"""Descriptors of the store beside its table cache: 11 measured in an idle one (logs, manifest,
locks, directories), 43 while 680 MB were written at full speed: RocksDB opens tables that a scan or
a compaction needs at once even if they exceed its cache.

Too low: a flush or a compaction meets the limit, and RocksDB refuses all writes from then on.
"""
FEWEST_TABLES = 20
"""RocksDB's own lower bound for `max_open_files`."""
MOST_TABLES = 8_192
"""Open tables at most: at 64 MB a table half a terabyte, all open.

Too low: reads reopen tables. Too high: each open table keeps its index and filter in memory.
"""
TABLE_SHARE = 8
"""One of so many descriptors of the limit is for open tables.

Too low: gateways meet their cap. Too high: a large store under a small limit reopens tables.
"""


class TooFewDescriptors(Exception):
    """The limit has no room for every consumer's smallest share; a sentence for the operator."""


@dataclass(frozen=True, slots=True)
class NodeShares:
    """How a node divides its descriptors; `tables` is RocksDB's `max_open_files`."""

    limit: int
    tables: int
    strangers: int
    gateways: int


def raise_limit() -> int:
    """Raise this process's soft limit as far as it may; the limit now in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTOR_CEILING
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return limit_in_force()
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        # Some systems have a lower bound of their own; the old limit stays in force.
        return limit_in_force()
    return wanted


def limit_in_force() -> int:
    """This process's soft limit, at most `DESCRIPTOR_CEILING`."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return DESCRIPTOR_CEILING
    return min(soft, DESCRIPTOR_CEILING)


def gateway_reserve(nodes: int) -> int:
    """Descriptors that a gateway keeps from its clients; `nodes` is how many it has links to."""
    return PROCESS_RESERVE + LINK_DESCRIPTORS * nodes


def client_connection_limit(reserve: int) -> int:
    """Client connections this process may have open beside `reserve` descriptors.

    Raises `TooFewDescriptors` where that leaves none.
    """
    limit = limit_in_force()
    if limit <= reserve:
        raise TooFewDescriptors(_too_few(limit, reserve + 1))
    return limit - reserve


def tables_in(limit: int) -> int:
    """RocksDB's `max_open_files` under a limit."""
    return min(MOST_TABLES, max(FEWEST_TABLES, limit // TABLE_SHARE))


def node_shares(limit: int, nodes: int) -> NodeShares:
    """How a node of a cluster of `nodes` divides `limit`. Raises `TooFewDescriptors`."""
    tables = tables_in(limit)
    peers = (nodes - 1) * (LINK_DESCRIPTORS + MEMBER_CONNECTIONS)
    reserve = PROCESS_RESERVE + STORE_BESIDE_TABLES + tables + peers + STRANGER_CONNECTIONS
    room = limit - reserve
    if room < FEWEST_GATEWAYS:
        fixed = reserve - tables + FEWEST_GATEWAYS
        # Tables take a share of the limit, so the limit that suffices is larger than the gap.
        enough = max(fixed + FEWEST_TABLES, -(-fixed * TABLE_SHARE // (TABLE_SHARE - 1)))
        raise TooFewDescriptors(_too_few(limit, enough))
    # The other half is for bursts of the store.
    return NodeShares(limit, tables, STRANGER_CONNECTIONS, max(FEWEST_GATEWAYS, room // 2))


def exhausted(error: BaseException | str) -> bool:
    """Whether an error says that the process or the machine has no descriptor left.

    RocksDB's errors carry the system's message alone.
    """
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return True
    return any(os.strerror(number) in str(error) for number in (errno.EMFILE, errno.ENFILE))


def _too_few(limit: int, needed: int) -> str:
    return (
        f"the limit of {limit} file descriptors is too low, and the process does not start."
        f" No data is affected. Allow at least {needed} (`ulimit -n {needed}`) and start it again"
    )
