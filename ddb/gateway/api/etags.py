"""Conditions: entity tags, and the headers that compare them (RFC 9110, section 13)."""

import re

from ddb.gateway.api.errors import Refused, invalid
from ddb.record.change import ANY, tag_of

# Empty elements of a list are to be passed over (RFC 9110, section 5.6.1).
_TAG = re.compile(rb'[ \t,]*(W/)?"([\x21\x23-\x7e\x80-\xff]*)"[ \t]*(?:,[ \t,]*|$)')
_OURS = re.compile(rb"[0-9a-f]{16}")
_NOT_OURS = b"none"
"""Stands for a tag that this gateway never gave out: as long as no tag of ours."""


def etag(body: bytes) -> bytes:
    """The ETag header's value for a record."""
    return b'"%b"' % tag_of(body).hex().encode()


def required_tags(header: bytes) -> tuple[bytes, ...]:
    """The tags of an If-Match header, as `Change.match` takes them. Raises `Refused` (400)."""
    if header.strip() == b"*":
        return (ANY,)
    # Compared strongly: a weak tag matches nothing.
    return tuple(
        _NOT_OURS if weak or not _OURS.fullmatch(tag) else bytes.fromhex(tag.decode())
        for weak, tag in _tags("If-Match", header)
    )


def fulfilled(required: tuple[bytes, ...], body: bytes) -> bool:
    """Whether a record is as `required_tags` demand."""
    return required == (ANY,) or tag_of(body) in required


def not_modified(header: bytes, tag: bytes) -> bool:
    """Whether an If-None-Match header names `tag`, an ETag of ours. Raises `Refused` (400)."""
    if header.strip() == b"*":
        return True
    return any(b'"%b"' % known == tag for _, known in _tags("If-None-Match", header))


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
