"""The query parameters of a LIST, and the link to its next page."""

import base64
import binascii
from dataclasses import dataclass
from urllib.parse import parse_qsl

from ddb.gateway.api.errors import Detail, invalid, invalid_fields
from ddb.gateway.api.excerpt import quoted, short
from ddb.gateway.records import Cursor
from ddb.ring.ring import PARTITION_BYTES, PARTITIONS

DEFAULT_LIMIT = 10
MAX_LIMIT = 1000
"""Records of one page. Too low: clients need more requests. Too high: while the
gateway builds one page, GET and PUT wait."""
MAX_OFFSET = 2**63 - 1
_PARAMETERS = ("after", "limit", "offset")
_MOST_PARAMETERS = 100
"""In a query string. Too low: a client learns of some unknown names only. Too high: a head of
64 KiB, all parameters, takes 50 ms of CPU, and its refusal has 1 MB."""
_MOST_DIGITS = 19
_LONGEST_ID = 128


@dataclass(frozen=True, slots=True)
class Paging:
    """The position and the size of one page; `after` and a positive `offset` exclude each other."""

    after: Cursor | None
    offset: int
    limit: int


def parse_paging(query: bytes) -> Paging:
    """Parse the query string of a LIST. Raises `Refused` (400)."""
    given = _parameters(query, _PARAMETERS)
    limit = _number("limit", given.get("limit", str(DEFAULT_LIMIT)), 1, MAX_LIMIT)
    offset = _number("offset", given.get("offset", "0"), 0, MAX_OFFSET)
    if "after" not in given:
        return Paging(None, offset, limit)
    if "offset" in given:
        raise invalid("after", "a page starts at offset or at after; send one of them")
    return Paging(_cursor(given["after"]), 0, limit)


def no_parameters(query: bytes) -> None:
    """Refuse a query string with any parameter. Raises `Refused` (400)."""
    if query:
        _parameters(query, ())


def _parameters(query: bytes, taken: tuple[str, ...]) -> dict[str, str]:
    """Parse a query string whose parameters are all in `taken` and given once.

    Raises: `Refused` (400), with a detail for each other parameter.
    """
    if query.count(b"&") >= _MOST_PARAMETERS:
        raise invalid("", f"a query string takes at most {_MOST_PARAMETERS} parameters")
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise invalid("", "the query string must be URL-encoded UTF-8") from None
    choice = f"it takes {', '.join(taken)}" if taken else "it takes none"
    given: dict[str, str] = {}
    faults: dict[str, str] = {}
    for name, value in pairs:
        if name not in taken:
            faults[short(name)] = f"this path has no such parameter; {choice}"
        elif name in given:
            faults[name] = "this parameter is given twice; send it once"
        given[name] = value
    if faults:
        raise invalid_fields(tuple(Detail(name, fault) for name, fault in faults.items()))
    return given


def next_link(path: str, cursor: Cursor, limit: int) -> bytes:
    """Make the value of the Link header for the next page."""
    place = cursor.partition.to_bytes(PARTITION_BYTES, "big") + cursor.id.encode()
    text = base64.urlsafe_b64encode(place).rstrip(b"=").decode()
    return f'<{path}?after={text}&limit={limit}>; rel="next"'.encode()


def _number(name: str, text: str, low: int, high: int) -> int:
    if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS:
        number = int(text)
        if low <= number <= high:
            return number
    raise invalid(name, f"it takes a whole number from {low} to {high}; it got {quoted(text)}")


def _cursor(text: str) -> Cursor:
    refused = invalid("after", "it takes a cursor from the Link header of an earlier page")
    try:
        place = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        record_id = place[PARTITION_BYTES:].decode("ascii")
    except (binascii.Error, ValueError):
        raise refused from None
    partition = int.from_bytes(place[:PARTITION_BYTES], "big")
    if not record_id or len(record_id) > _LONGEST_ID or partition >= PARTITIONS:
        raise refused
    return Cursor(partition, record_id)
