"""What one client sends: from bytes to requests. The parser is `httptools`.

A request is handed over once it is whole; one with a longer body than is taken, to be refused, as
soon as that is known: the rest of its body is then passed over.

- An offer to speak another protocol is passed over and the request done (RFC 9110, section 7.8).
- A head without end is not kept in memory without end.
"""

from typing import Protocol

import httptools

from ddb.gateway.document import GREATEST_DOCUMENT, short
from ddb.gateway.errors import Detail, Error, Refused, invalid
from ddb.gateway.request import HEEDED, Request

_MOST_HEAD = 512 * 1024
"""Bytes of a request's head, give or take one piece of what its client sends (256 KiB)."""

_MOST_TARGET = 64 * 1024
"""Bytes of a target from which on `httptools` refuses it."""

_MOST_SAID = 16 * 1024
"""Bytes of one field that matters, all its lines joined."""

_LONGEST_LENGTH = 9
"""Digits of a Content-Length that are looked at: int() takes no more than some thousand."""

_NOT_HTTP = invalid("", "this is not an HTTP/1.1 request")
_TOO_LONG = f"the head of a request takes at most {_MOST_HEAD} bytes"
_ENDLESS = Refused(Error.HEAD_TOO_LARGE, _TOO_LONG, details=(Detail("", _TOO_LONG),))


class Taker(Protocol):
    """Whoever answers."""

    def take(self, request: Request, keep: bool) -> None:
        """A request has come. `keep`: after its answer the client goes on, on this connection."""
        ...

    def wait_for_body(self) -> None:
        """A head has come, its body not, and the client waits to be told that it may."""
        ...

    def end(self, why: Refused | None) -> None:
        """What came last cannot be understood, nor can whatever follows.

        None: it belongs to a request that was handed over.
        """
        ...


class Incoming:
    """The requests of one connection, as they come."""

    def __init__(self, taker: Taker) -> None:
        self.waits = False
        """Whether the client waits to be told that a body may come."""
        self._taker = taker
        self._parser = self._new_parser()
        self._ended = False
        self._head = -1
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._said: dict[bytes, bytes] = {}
        self._line: tuple[str, str, bytes] | None = None
        self._refused = False
        self._keep = True
        self._parts: list[bytes] = []
        self._size = 0

    @property
    def midway(self) -> bool:
        """Whether the head of a request has come, and a body that is wanted not yet."""
        return self._line is not None and not self._refused

    @property
    def passing(self) -> bool:
        """Whether a body is passed over, whose request has been handed over."""
        return self._line is not None and self._refused

    def feed(self, data: bytes) -> None:
        """Bytes have come."""
        while data and not self._ended:
            data = self._parse(data)

    def cut(self) -> None:
        """Nothing more comes: a request that is not whole never will be."""
        self._ended = True
        self._line = None

    def _new_parser(self) -> httptools.HttpRequestParser:
        parser = httptools.HttpRequestParser(self)
        # A client may send more before it has read that its connection ends.
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    def _parse(self, data: bytes) -> bytes:
        """Parse; what is left to be parsed."""
        try:
            self._parser.feed_data(data)
            if self.waits:
                self._taker.wait_for_body()
            if self._head >= 0:
                self._head += len(data)
                if self._head > _MOST_HEAD:
                    self._end(_ENDLESS)
        except httptools.HttpParserUpgrade as offer:
            if self._parser.get_method() == b"CONNECT":
                self._end(_NOT_HTTP)
                return b""
            return self._without_offer() + data[offer.args[0] :]
        except httptools.HttpParserError:
            self._end(_NOT_HTTP)
        return b""

    def on_message_begin(self) -> None:
        """Called by the parser."""
        self._head = 0
        self._url = b""
        self._headers = []
        self._said = {}

    def on_url(self, url: bytes) -> None:
        """Called by the parser, perhaps several times."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser; behind a chunked body, too."""
        if self._line is not None:
            # Nobody reads those: what a request asks for is known (RFC 9110, section 6.5.1).
            return
        name = name.lower()
        self._headers.append((name, value))
        if name in HEEDED:
            said = self._said
            joined = said[name] + b", " + value if name in said else value
            if len(joined) > _MOST_SAID:
                raise ValueError("a field without end")
            said[name] = joined

    def on_headers_complete(self) -> None:
        """Called by the parser; a request with an offer is parsed a second time, without it."""
        self._head = -1
        parser, said, url = self._parser, self._said, self._url
        if parser.should_upgrade():
            return
        self._headers = []
        if url[:1] == b"/" and b"#" not in url and len(url) < _MOST_TARGET:
            path, _, query = url.partition(b"?")
        else:
            # What names a host, or a part of what it asks for, or is no target at all.
            parsed = httptools.parse_url(url)
            path, query = parsed.path or b"/", parsed.query or b""
        method = parser.get_method().decode()
        modern = parser.get_http_version() == "1.1"
        self._keep = modern and parser.should_keep_alive()
        self._line = (method, path.decode("ascii"), query)
        self._refused = self.waits = False
        self._parts, self._size = [], 0
        if said:
            self._expect(said, modern)

    def _expect(self, said: dict[bytes, bytes], modern: bool) -> None:
        """Look at what the head says of the body behind it; `modern`: in HTTP/1.1."""
        declared = said.get(b"content-length", b"")
        if declared.isdigit() and (
            len(declared) > _LONGEST_LENGTH or int(declared) > GREATEST_DOCUMENT
        ):
            if b"expect" in said:
                # Whether the body comes all the same, nobody can tell (RFC 9110, section 10.1.1).
                self._keep = False
            self._refuse(f"this one is to have {short(declared.decode())}")
        elif said.get(b"expect", b"").lower() == b"100-continue" and modern:
            self.waits = True

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        self._head = -1
        if self._refused:
            return
        self.waits = False
        self._parts.append(body)
        self._size += len(body)
        if self._size > GREATEST_DOCUMENT:
            self._refuse(f"of this one {self._size} have come")

    def on_chunk_header(self) -> None:
        """Called by the parser; fields may follow the last chunk, and they may not end either."""
        self._head = max(self._head, 0)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self._head = -1
        line, self._line = self._line, None
        if line is None:
            return
        self.waits = False
        # A close may have been said behind the body: the parser tells nothing of what follows.
        keep = self._keep and self._parser.should_keep_alive()
        if not self._refused:
            parts = self._parts
            body = b"".join(parts) if len(parts) > 1 else parts[0] if parts else b""
            self._taker.take(Request(*line, self._said, body), keep)
        elif self._keep and not keep:
            self._ended = True
            self._taker.end(None)

    def _refuse(self, excess: str) -> None:
        """The body is too long; the request is done without it, now."""
        self._refused = True
        self._parts = []
        if self._line is not None:
            self._taker.take(Request(*self._line, self._said, b"", excess), self._keep)

    def _without_offer(self) -> bytes:
        """The head of the request that was parsed last, without what makes an offer of it."""
        line = b"%b %b HTTP/%b\r\n" % (
            self._parser.get_method(),
            self._url,
            self._parser.get_http_version().encode(),
        )
        kept = [b"%b: %b\r\n" % each for each in self._headers if each[0] != b"upgrade"]
        self._parser = self._new_parser()
        return b"".join((line, *kept, b"\r\n"))

    def _end(self, why: Refused) -> None:
        self._ended = True
        self._taker.end(None if self.passing else why)

    def __repr__(self) -> str:
        coming = "a body" if self.midway else "a head" if self._head > 0 else "nothing"
        return f"<Incoming {coming}>"
