"""The disk space of a cluster, relative to its users' JSON."""

from collections.abc import Iterable
from pathlib import Path

from rocksdict import Options, Rdict

from bench.users import User

BLOCK = 512
"""Bytes of one unit of `st_blocks` (stat(2))."""


def logical(users: Iterable[User]) -> int:
    """Return the bytes of the users' JSON."""
    return sum(len(user.body()) for user in users)


def occupied(directory: Path) -> int:
    """Return the bytes of all files below a directory, in whole blocks."""
    return sum(
        path.stat(follow_symlinks=False).st_blocks * BLOCK
        for path in directory.rglob("*")
        if path.is_file()
    )


def compact(store: Path) -> None:
    """Compact the RocksDB of a stopped node with the node's options."""
    options, families = Options.load_latest(str(store))
    database = Rdict(str(store), options, column_families=families)
    for name in families:
        if name != "default":
            database.get_column_family(name).compact_range(None, None)
    database.compact_range(None, None)
    database.close()


def compact_cluster(data: Path) -> None:
    """Compact every node of a stopped local cluster."""
    for store in sorted(data.rglob("rocks")):
        compact(store)
