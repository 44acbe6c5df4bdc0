"""The bytes of a state, at rest and on the wire.

A state is a small binary header and then the body, so that a body whose replicas agree travels
from disk to client untouched:

    flags            1 byte    format in the high nibble, LIVE in bit 0, LOGGED in bit 1, others 0
    dots             1 byte    how many, newest first; each 8 bytes counter, 4 bytes node id
    recent           2 bytes   how many, oldest first; each 13 bytes
    keyed            4 bytes   where LOGGED: length of the log (`keyed_log`), which follows
    body             remaining JSON; of a tombstone, see `State.body`

All integers are big-endian. An earlier layout lists keyed entries among the recent ones, 17 bytes
each. `decode` reads it, and makes a log of them.
"""

import struct

from ddb.record import keyed_log
from ddb.record.change import Outcome
from ddb.record.keyed_log import DIGEST_BYTES, FINGERPRINT_BYTES
from ddb.record.state import ABSENT, OPERATION_BYTES, DamagedState, Entry, Operation, State
from ddb.record.version import NEVER, Dot

FORMAT = 0x10
LIVE = 0x01
LOGGED = 0x02
KEYED = 0x80
"""Of an entry among the recent ones, in states of the older layout."""

_DOT = struct.Struct(">QI")
_COUNT = struct.Struct(">H")
_LENGTH = struct.Struct(">I")
NEWEST = slice(2, 2 + _DOT.size)
"""Where the newest dot lies in an encoded state that is not empty.

Compared as bytes, newest dots are in the same order as compared as dots.
"""
HEAD = slice(0, NEWEST.stop)
"""As much of an encoded state as tells its newest dot and whether it lives."""
_OUTCOMES = tuple(sorted(Outcome))


def encode(state: State) -> bytes:
    """The bytes of a state, as stored and as sent."""
    keyed = state.keyed
    flags = FORMAT | (LIVE if state.live else 0) | (LOGGED if keyed else 0)
    parts = [bytes((flags, len(state.version)))]
    parts += [_DOT.pack(*dot) for dot in state.version]
    parts.append(_COUNT.pack(len(state.recent)))
    for entry in state.recent:
        parts += (bytes((entry.outcome,)), entry.operation.id)
    if keyed:
        parts += (_LENGTH.pack(len(keyed)), keyed)
    parts.append(state.body)
    return b"".join(parts)


def decode(data: bytes) -> State:
    """The state that `encode` wrote. Raises `DamagedState`; empty bytes are `ABSENT`."""
    if not data:
        return ABSENT
    flags = data[0]
    try:
        if flags & ~(LIVE | LOGGED) != FORMAT:
            raise DamagedState(f"unknown format byte {flags:#04x}")
        at = 2 + data[1] * _DOT.size
        version = tuple(map(Dot._make, _DOT.iter_unpack(data[2:at])))
        (count,) = _COUNT.unpack_from(data, at)
        at += _COUNT.size
        recent, older = [], b""
        for _ in range(count):
            flag = data[at]
            start, at = at + 1, at + 1 + OPERATION_BYTES
            outcome = _OUTCOMES[flag & ~KEYED]
            if flag & KEYED:
                digest = data[start : start + DIGEST_BYTES]
                start, at = at, at + FINGERPRINT_BYTES
                older += b"%b%b%c" % (digest, data[start:at], outcome)
            else:
                recent.append(Entry(Operation(data[start:at]), outcome))
        keyed = keyed_log.migrated(older, version[0] if version else NEVER) if older else b""
        if flags & LOGGED:
            start = at + _LENGTH.size
            at = start + _LENGTH.unpack_from(data, at)[0]
            keyed += data[start:at]
            keyed_log.count(keyed)
    except (IndexError, ValueError, struct.error) as error:
        raise DamagedState(f"truncated or damaged state of {len(data)} bytes") from error
    if at > len(data):
        raise DamagedState(f"truncated state of {len(data)} bytes")
    return State(version, bool(flags & LIVE), data[at:], tuple(recent), keyed)


def peek(data: bytes | None) -> Dot:
    """The newest dot of an encoded state, without decoding what follows. Raises `DamagedState`."""
    if not data:
        return NEVER
    try:
        # Asked several times per request, so made without the class's own constructor.
        return tuple.__new__(Dot, _DOT.unpack_from(data, 2)) if data[1] else NEVER
    except (IndexError, struct.error) as error:
        raise DamagedState(f"truncated state of {len(data)} bytes") from error


def is_live(data: bytes | None) -> bool:
    """Whether an encoded state is a record rather than a tombstone or nothing."""
    return bool(data) and bool(data[0] & LIVE) if data else False


def body_of(data: bytes) -> bytes:
    """The body of an encoded state, skipping over the header."""
    at = _log_start(data)
    if data[0] & LOGGED:
        at += _LENGTH.size + _LENGTH.unpack_from(data, at)[0]
    return data[at:]


def without_log(data: bytes) -> bytes:
    """An encoded state without its log of keyed operations; for those who only read it."""
    if not data or not data[0] & LOGGED:
        return data
    at = _log_start(data)
    end = at + _LENGTH.size + _LENGTH.unpack_from(data, at)[0]
    return b"%c%b%b" % (data[0] & ~LOGGED, data[1:at], data[end:])


def _log_start(data: bytes) -> int:
    at = 2 + data[1] * _DOT.size
    (count,) = _COUNT.unpack_from(data, at)
    at += _COUNT.size
    for _ in range(count):
        at += 1 + OPERATION_BYTES + (FINGERPRINT_BYTES if data[at] & KEYED else 0)
    return at
