"""Reading RocksDB families block by block, where some blocks may be damaged."""

from collections.abc import Iterator

from rocksdict import Rdict, RdictIter

from ddb.node.storage.store import Family, NoDescriptors, StoreFailed, Unreadable
from ddb.ring.ring import END, PARTITION_BYTES, PARTITIONS, partition_in
from ddb.runtime.descriptors import exhausted

_DAMAGE = (
    "Corruption",
    "No such file or directory",
    "Input/output error",
    "Structure needs cleaning",
)
"""What RocksDB reports of blocks and table files that cannot be read. Any other failed read, such
as for want of file descriptors or memory, says nothing about the data and ends the process."""


def read_error(family: Family, key: bytes, error: Exception | str) -> Unreadable | StoreFailed:
    """What a failed read means."""
    text = " ".join(str(error).split())
    if exhausted(StoreFailed(text)):
        return NoDescriptors(f"no file descriptor is left for a read: {text}")
    if any(sign in text for sign in _DAMAGE):
        return Unreadable(family, key, text)
    return StoreFailed(f"a read failed: {text}")


def pairs(
    database: Rdict, family: Family, start: bytes, stop: bytes, limit: int
) -> list[tuple[bytes, bytes]]:
    """Up to `limit` pairs with start <= key < stop. Raises `Unreadable` and `StoreFailed`."""
    rows, error = _pairs(database, start, stop, limit)
    first = rows[-1][0] + b"\x00" if rows else start
    if error is not None and len(rows) < limit and first < stop:
        raise read_error(family, first, error)
    return rows


def _pairs(
    database: Rdict, start: bytes, stop: bytes, limit: int
) -> tuple[list[tuple[bytes, bytes]], str | None]:
    """The pairs before an error, and that error. The cursor ends here: it keeps files open."""
    rows: list[tuple[bytes, bytes]] = []
    cursor = database.iter()
    cursor.seek(start)
    while len(rows) < limit:
        key = cursor.key()
        if key is None or key >= stop:
            break
        rows.append((key, cursor.value()))
        cursor.next()
    return rows, _error(cursor)


def extent(database: Rdict, key: bytes) -> tuple[bytes, bytes]:
    """The unreadable keys around `key`: from the first one to before the next readable one.

    `key` alone where it can be read after all. Blocks have no names, so this looks for readable
    neighbours: from the starts of partitions below, and back from the starts of those above.
    """
    start, stop = _first_unreadable(database, key), _next_readable(database, key)
    return (start, stop) if start <= key < stop else (key, key + b"\x00")


def _first_unreadable(database: Rdict, key: bytes) -> bytes:
    cursor = database.iter()
    for number in range(_number(key), -1, -1):
        last: bytes | None = None
        cursor.seek(number.to_bytes(PARTITION_BYTES, "big"))
        while (at := cursor.key()) is not None and at < key:
            last = at
            cursor.next()
        if at is not None:
            # The block of `key` could be read this time.
            return key
        if last is not None:
            return last + b"\x00"
    return b""


def _next_readable(database: Rdict, key: bytes) -> bytes:
    cursor = database.iter()
    for number in range(_number(key) + 1, PARTITIONS + 1):
        cursor.seek(number.to_bytes(PARTITION_BYTES, "big"))
        if cursor.valid():
            return _earliest(cursor, key) or END
        if _error(cursor) is None:
            # No key at or above: what there is lies below.
            cursor.seek_to_last()
            return _earliest(cursor, key) or END
    return END


def _earliest(cursor: RdictIter, key: bytes) -> bytes | None:
    """The least readable key above `key` without a damaged block before the cursor."""
    earliest = None
    for at in _backwards(cursor):
        if at <= key:
            break
        earliest = at
    return earliest


def _backwards(cursor: RdictIter) -> Iterator[bytes]:
    while (at := cursor.key()) is not None:
        yield at
        cursor.prev()


def _number(key: bytes) -> int:
    return min(partition_in(key), PARTITIONS - 1) if len(key) >= PARTITION_BYTES else 0


def _error(cursor: RdictIter) -> str | None:
    """Why the cursor is at no key, None at the end: damage makes it invalid as well."""
    if cursor.valid():
        return None
    try:
        cursor.status()
    except Exception as error:  # noqa: BLE001
        # rocksdict raises bare Exception for whatever RocksDB reports.
        return str(error)
    return None
