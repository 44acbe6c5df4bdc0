"""The operations that clients named by an Idempotency-Key, packed for one record's state.

The log is a sequence of slices, oldest first. A slice is a header and then its entries:

    count            2 bytes   number of entries in this slice
    opened           8 bytes   counter of the ballot that appended the first entry
    last             12 bytes  the ballot that appended the last entry: counter, node id
    entries          variable 13 bytes each: 8 of the key's digest, 4 of the request's, 1 outcome

All integers are big-endian. `last` identifies a slice and dates it: no other use of a key has this
ballot. A record forgets a slice as a whole. No code decodes all entries, so thousands of them cost
little at each change.
"""

import struct
from collections.abc import Callable

from ddb.record.change import Outcome
from ddb.record.hybrid_clock import at_millisecond
from ddb.record.version import Dot

DIGEST_BYTES = 8
FINGERPRINT_BYTES = 4
ENTRY_BYTES = DIGEST_BYTES + FINGERPRINT_BYTES + 1
SLICE_ENTRIES = 256
"""Entries of one slice.

Lower: each change walks over more headers, at 0.2 us per header. Higher: a full record gets room in
fewer and later steps.
"""
SLICE_SPAN = at_millisecond(30_000)
"""Counters from a slice's first entry to its last.

Lower: more slices. Higher: an entry outlives its ten minutes by up to this span. Only space depends
on it, so a wrong wall clock does no harm.
"""

_HEADER = struct.Struct(">HQQI")
_COUNT = struct.Struct(">H")


def starts(log: bytes) -> list[int]:
    """Return the offsets of the slices, oldest first. Raises `ValueError` if the log is damaged."""
    at, found = 0, []
    try:
        while at < len(log):
            found.append(at)
            at += _HEADER.size + ENTRY_BYTES * _COUNT.unpack_from(log, at)[0]
    except struct.error as error:
        raise ValueError("a slice's header is cut short") from error
    if at != len(log):
        raise ValueError(f"{len(log)} bytes, and the slices take {at}")
    return found


def count(log: bytes) -> int:
    """Return the number of operations in a log."""
    return (len(log) - _HEADER.size * len(starts(log))) // ENTRY_BYTES


def oldest(log: bytes) -> Dot:
    """Return the ballot of the last entry of the oldest slice.

    The record forgets that slice next.
    """
    _, _, counter, node = _HEADER.unpack_from(log)
    return Dot(counter, node)


def recalled(log: bytes, digest: bytes, fingerprint: bytes) -> Outcome | None:
    """Return the outcome of a key's operation; None if the log does not have it.

    `Outcome.REUSED`: the log has the key with another request. Raises `ValueError` if the log is
    damaged.

    Args:
        log: The log of one record.
        digest: 8 bytes of the key's digest.
        fingerprint: 4 bytes of the request's digest.
    """
    if digest not in log:
        # The common case: one search, and no walk over the slices.
        return None
    end = len(log)
    for start in reversed(starts(log)):
        at = log.find(digest, start + _HEADER.size, end)
        while at >= 0:
            if (at - start - _HEADER.size) % ENTRY_BYTES == 0:
                named = at + DIGEST_BYTES
                outcome = named + FINGERPRINT_BYTES
                same = log[named:outcome] == fingerprint
                return Outcome(log[outcome]) if same else Outcome.REUSED
            at = log.find(digest, at + 1, end)
        end = start
    return None


def appended(log: bytes, digest: bytes, fingerprint: bytes, outcome: Outcome, ballot: Dot) -> bytes:
    """Return `log` with one more entry, which the round of `ballot` appends."""
    entry = b"%b%b%c" % (digest, fingerprint, outcome)
    if log:
        at = starts(log)[-1]
        entries, opened, _, _ = _HEADER.unpack_from(log, at)
        if entries < SLICE_ENTRIES and ballot.counter - opened < SLICE_SPAN:
            header = _HEADER.pack(entries + 1, opened, *ballot)
            return b"%b%b%b%b" % (log[:at], header, log[at + _HEADER.size :], entry)
    return b"%b%b%b" % (log, _HEADER.pack(1, ballot.counter, *ballot), entry)


def trimmed(log: bytes, expired: Callable[[Dot], bool]) -> bytes:
    """Return `log` without its expired oldest slices.

    Args:
        log: The log of one record.
        expired: Returns True for the last ballot of a slice to remove. The first False ends the
            removal.
    """
    while log and expired(oldest(log)):
        log = log[_HEADER.size + ENTRY_BYTES * _COUNT.unpack_from(log)[0] :]
    return log


def migrated(entries: bytes, newest: Dot) -> bytes:
    """Return the log of a state of the format that lists keyed entries one by one.

    Args:
        entries: Entries in the layout of a log, without headers.
        newest: The state's ballot. It identifies the slice, because no other state has it.
    """
    size = len(entries) // ENTRY_BYTES
    return b"%b%b" % (_HEADER.pack(size, newest.counter, *newest), entries) if size else b""
