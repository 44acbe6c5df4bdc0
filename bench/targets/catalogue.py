"""The systems by name."""

from collections.abc import Callable
from pathlib import Path

from bench.targets.ddb import Ddb
from bench.targets.echo import Echo
from bench.targets.etcd import Etcd
from bench.targets.fastapi import FastApi
from bench.targets.target import Target
from bench.workload import Operation
from ddb.settings import Fsync

_MAKERS: dict[str, Callable[[Path], Target]] = {
    "echo": Echo,
    "ddb": Ddb,
    "ddb-os": lambda directory: Ddb(
        directory, fsync=Fsync.OS, name="ddb-os", operations=frozenset({Operation.PUT})
    ),
    "fastapi": FastApi,
    "etcd": Etcd,
}
NAMES = tuple(_MAKERS)


def make(name: str, directory: Path) -> Target:
    """Return a stopped system with its data below `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    return _MAKERS[name](directory)
