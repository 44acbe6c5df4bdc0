"""Entity tags, and the headers that compare them (RFC 9110, section 13)."""

import re

from ddb.gateway.api.errors import Refused, invalid
from ddb.record.change import ANY, tag_of

# The pattern skips empty list elements (RFC 9110, section 5.6.1).
_TAG = re.compile(rb'[ \t,]*(W/)?"([\x21\x23-\x7e\x80-\xff]*)"[ \t]*(?:,[ \t,]*|$)')
_OURS = re.compile(rb"[0-9a-f]{16}")
_NOT_OURS = b"none"
"""Replaces a tag that no gateway issued. It matches no record, because issued tags have 8 bytes."""


def etag(body: bytes) -> bytes:
    """Make the value of the ETag header for a record."""
    return b'"%b"' % tag_of(body).hex().encode()


def required_tags(header: bytes) -> tuple[bytes, ...]:
    """Parse an If-Match header into `Change.match`. Raises `Refused` (400)."""
    if header.strip() == b"*":
        return (ANY,)
    # If-Match compares strongly, so a weak tag matches no record.
    return tuple(
        _NOT_OURS if weak or not _OURS.fullmatch(tag) else bytes.fromhex(tag.decode())
        for weak, tag in _tags("If-Match", header)
    )


def fulfilled(required: tuple[bytes, ...], body: bytes) -> bool:
    """Return whether a record meets the condition that `required_tags` made."""
    return required == (ANY,) or tag_of(body) in required


def not_modified(header: bytes, tag: bytes) -> bool:
    """Return whether an If-None-Match header names `tag`. Raises `Refused` (400)."""
    if header.strip() == b"*":
        return True
    return any(b'"%b"' % listed == tag for _, listed in _tags("If-None-Match", header))


def _tags(name: str, header: bytes) -> list[tuple[bool, bytes]]:
    found, at = [], 0
    while at < len(header):
        match = _TAG.match(header, at)
        if match is None:
            raise _malformed(name)
        found.append((match[1] is not None, match[2]))
        at = match.end()
    if not found:
        raise _malformed(name)
    return found


def _malformed(name: str) -> Refused:
    return invalid(name, 'it takes * or entity tags like "0123456789abcdef", with their quotes')
