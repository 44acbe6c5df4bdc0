"""Requests: what a client asked for, as a value, once it is there as a whole."""

from collections.abc import Mapping

import msgspec

HEEDED = frozenset(
    {b"if-match", b"if-none-match", b"idempotency-key", b"content-length", b"expect"}
)
"""The headers that matter here, in lower case."""


class Request(msgspec.Struct, frozen=True):
    """One request.

    `path` and `query` are as they were sent: percent-encoded, without the `?` between them. `said`
    holds the headers of `HEEDED` that came; one that came more than once is joined (RFC 9110,
    section 5.3). `excess` tells of a body that is too long how long it is: it is then not here.
    """

    method: str
    path: str
    query: bytes
    said: Mapping[bytes, bytes]
    body: bytes = b""
    excess: str = ""
