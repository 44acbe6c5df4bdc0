"""How many bytes on disk a cluster's data takes, once compacted, by the bytes that clients gave."""

from collections.abc import Iterable
from pathlib import Path

from rocksdict import Options, Rdict

from bench.users import User

BLOCK = 512
"""What st_blocks counts in (stat(2))."""


def logical(users: Iterable[User]) -> int:
    """Bytes of the users' JSON: once, however many copies are kept."""
    return sum(len(user.body()) for user in users)


def occupied(directory: Path) -> int:
    """Bytes that all files below a directory occupy, whatever they are."""
    return sum(
        path.stat(follow_symlinks=False).st_blocks * BLOCK
        for path in directory.rglob("*")
        if path.is_file()
    )


def compact(store: Path) -> None:
    """Compact a stopped node's RocksDB whole, with the options that it last ran with."""
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
