"""Checking RocksDB's logs, for when RocksDB must be opened without its own strict checks.

RocksDB's `paranoid_checks` refuses a store for one damaged table, and without them it skips damaged
log records as well. A skipped record is an acknowledged write lost, so this reads the logs first.
It takes some 0.2 s per megabyte, and happens only where a table is damaged at the start.
"""

import struct
from pathlib import Path

_BLOCK = 32 * 1024
_HEADER = struct.Struct("<IHB")
_RECYCLED_FROM, _RECYCLED_TO, _RECYCLED_BYTES = 5, 8, 4
"""Types of records whose header names its log, and the bytes that this takes."""
_POLYNOMIAL = 0x82F63B78
_MASK_DELTA = 0xA282EAD8


def _table() -> tuple[int, ...]:
    rows = []
    for number in range(256):
        value = number
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        rows.append(value)
    return tuple(rows)


_TABLE = _table()


def damaged_log(rocks: Path) -> str | None:
    """Where a log has a damaged record, None where there is none. A torn end is no damage."""
    for path in sorted(rocks.glob("*.log")):
        offset = _damage(path.read_bytes())
        if offset is not None:
            return f"{path.name} is damaged at byte {offset}"
    return None


def _damage(data: bytes) -> int | None:
    """The offset of the first damaged record that is there as a whole."""
    at = 0
    while at + _HEADER.size <= len(data):
        left = _BLOCK - at % _BLOCK
        if left < _HEADER.size:
            at += left
            continue
        masked, length, kind = _HEADER.unpack_from(data, at)
        if masked == length == kind == 0:
            # Reserved by the file system and never written.
            return None if not any(data[at:]) else at
        extra = _RECYCLED_BYTES if _RECYCLED_FROM <= kind <= _RECYCLED_TO else 0
        end = at + _HEADER.size + extra + length
        if end > len(data):
            return None
        if masked != _masked(data[at + _HEADER.size - 1 : end]):
            return at
        at = end
    return None


def _masked(data: bytes) -> int:
    value, table = 0xFFFFFFFF, _TABLE
    for byte in data:
        value = value >> 8 ^ table[(value ^ byte) & 0xFF]
    value ^= 0xFFFFFFFF
    return ((value >> 15 | value << 17) + _MASK_DELTA) & 0xFFFFFFFF
