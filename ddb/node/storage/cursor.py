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
"""Parts of RocksDB's messages about unreadable blocks and table files.

Any other failed read, such as for lack of memory, proves nothing about the data. It ends the
process.
"""


def read_error(family: Family, key: bytes, error: Exception | str) -> Unreadable | StoreFailed:
    """Return the exception that a failed read stands for."""
    text = " ".join(str(error).split())
    if exhausted(StoreFailed(text)):
        return NoDescriptors(f"no file descriptor is left for a read: {text}")
    if any(sign in text for sign in _DAMAGE):
        return Unreadable(family, key, text)
    return StoreFailed(f"a read failed: {text}")


def pairs(
    database: Rdict, family: Family, start: bytes, stop: bytes, limit: int
) -> list[tuple[bytes, bytes]]:
    """Return up to `limit` pairs with start <= key < stop. Raises as `Store.scan`."""
    rows, error = _pairs(database, start, stop, limit)
    first = rows[-1][0] + b"\x00" if rows else start
    if error is not None and len(rows) < limit and first < stop:
        raise read_error(family, first, error)
    return rows


def _pairs(
    database: Rdict, start: bytes, stop: bytes, limit: int
) -> tuple[list[tuple[bytes, bytes]], str | None]:
    """Return the pairs before an error, and that error.

    The cursor ends with this function, since it keeps files open.
    """
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
    """Return the unreadable range around `key`; `key` alone where it is readable after all.

    Blocks have no names, so this searches for readable neighbours. Below, it reads forwards from
    the starts of partitions. Above, it reads backwards from them.
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
            # There is no key at or above this; the last one lies below.
            cursor.seek_to_last()
            return _earliest(cursor, key) or END
    return END


def _earliest(cursor: RdictIter, key: bytes) -> bytes | None:
    """Return the least key above `key` with no damaged block between it and the cursor."""
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
    """Return why the cursor is invalid, None where it is valid or at the end."""
    if cursor.valid():
        return None
    try:
        cursor.status()
    except Exception as error:  # noqa: BLE001
        # rocksdict raises bare Exception for all that RocksDB reports.
        return str(error)
    return None
