"""A connection on the complete lane: uvicorn's HTTP protocol with bounds.

uvicorn 0.54's `HttpToolsProtocol` serves all of HTTP/1.1. This subclass corrects the following:

- uvicorn does not limit heads, trailers and chunk extensions in bytes, lines or time.
- It parses pipelined requests without limit: 256 KiB of them per response.
- It adds trailers to the headers of their request.
- It answers malformed input at once in plain text, even before the responses to earlier requests.
- It loses the body of a request with `Upgrade`, which Java and curl send to each server.
- It sends no response to a client that closes its sending half.
- It never closes a client that reads nothing.

`tests/gateway/test_uvicorn.py` checks each attribute of uvicorn that this file relies on.
"""

import asyncio
from collections import deque
from enum import Enum
from typing import Any, ClassVar

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from ddb.gateway.api.errors import Detail, Error, Refused, invalid
from ddb.gateway.api.response import refusal
from ddb.gateway.http.bounds import Bounds, Phase, Unread
from ddb.gateway.http.connection_cap import ConnectionCap
from ddb.gateway.http.whole_request import LINGER_S

PIECE_BYTES = 2048
"""Bytes that the parser gets per call; the bounds are checked between calls.

Too low: a body of 64 KiB takes many calls. Too high: one call makes many requests, of 3 KB each.
"""

_NOT_HTTP = invalid("", "this input is not an HTTP/1.1 request")


class Message(Enum):
    """The part of the current message that has arrived."""

    NOTHING = "nothing"
    HEAD = "part of its head"
    BODY = "its head"


class _Flow(FlowControl):
    """Pauses reading while requests wait for the responses to earlier ones."""

    def __init__(self, transport: asyncio.Transport, waiting: deque[Any]) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        """Called by uvicorn at the start and at the end of each request."""
        if not self._waiting:
            super().resume_reading()


class BoundedHttp(HttpToolsProtocol):
    """One client's connection on the complete lane."""

    bounds: ClassVar[Bounds] = Bounds()

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Called by uvicorn, or by the fast lane when it hands a connection over."""
        super().__init__(config, server_state, app_state, _loop)
        self._cap: ConnectionCap = app_state["cap"]
        self._input = b""
        self._message = Message.NOTHING
        self._since = self.loop.time()
        self._framing = 0
        self._body = 0
        self._lines = 0
        self._unanswered: deque[RequestResponseCycle] = deque()
        self._ended = False
        self._refused: Refused | None = None
        self._unread = Unread()

    # Callbacks of the transport.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Called by the loop."""
        super().connection_made(transport)
        self.flow = _Flow(transport, self.pipeline)
        if len(self.connections) > self._cap.limit:
            self.connections.discard(self)
            self._cap.refuse(transport)

    def take_over(
        self, transport: asyncio.Transport, received: bytes, since: float, *, full: bool
    ) -> None:
        """Continue a connection of the fast lane.

        Args:
            received: the bytes that have arrived and have no response.
            since: the loop's time at the first of these bytes.
            full: True: the transport's write buffer is full, as after `pause_writing`. False: it
                accepts more.
        """
        self.connection_made(transport)
        if full:
            self.pause_writing()
        self.data_received(received)
        if self._message is Message.HEAD:
            self._since = since

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self._ended = True
        self._input = b""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Called by the loop. True: the connection stays open for the responses that are due."""
        if not self._ended:
            self._end(None)
        return bool(self._unanswered)

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self._unset_keepalive_if_required()
        if not self._ended:
            self._input += data
            self._parse()

    def sweep(self, now: float) -> None:
        """Implement `Swept.sweep`."""
        unread = self.transport.get_write_buffer_size()
        if self._unread.waited(unread, now) > self.bounds.unread_s:
            # `close` would wait until the client reads.
            self.transport.abort()
        elif not unread and self.bounds.overdue(self._phase(), now - self._since):
            self.transport.close()

    def _phase(self) -> Phase:
        waits_for_body = self._message is Message.BODY and len(self._unanswered) < 2
        if self._unanswered and not waits_for_body:
            return Phase.ANSWER
        match self._message:
            case Message.NOTHING:
                return Phase.IDLE
            case Message.HEAD:
                return Phase.HEAD
            case Message.BODY:
                return Phase.BODY

    # Parsing.

    def _parse(self) -> None:
        """Parse the input, until a request waits for the response to an earlier one."""
        data, at = self._input, 0
        self._input = b""
        while at < len(data) and not self.pipeline and not self._ended:
            piece = data[at : at + PIECE_BYTES]
            self._framing += len(piece)
            try:
                self.parser.feed_data(piece)
                at += len(piece)
            except httptools.HttpParserUpgrade as offer:
                if self.parser.get_method() == b"CONNECT":
                    self._end(_NOT_HTTP)
                data, at = self._without_upgrade() + data[at + offer.args[0] :], 0
            except httptools.HttpParserError:
                self._end(self._refused or _NOT_HTTP)
            most = self.bounds.head_bytes + self.bounds.framing_per_body_byte * self._body
            if self._framing > most and not self._ended:
                self._end(_too_large(f"{self.bounds.head_bytes} bytes"))
        if not self._ended:
            self._input = data[at:]

    def on_message_begin(self) -> None:
        """Called by the parser."""
        super().on_message_begin()
        self._message, self._since = Message.HEAD, self.loop.time()
        self._framing = self._body = self._lines = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser, for trailers too."""
        self._lines += 1
        if self._lines > self.bounds.head_lines:
            self._refused = _too_large(f"{self.bounds.head_lines} lines")
            raise ValueError(self._refused.message)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        if self.parser.should_upgrade():
            # The parser stops here. `_parse` then parses the head again without `Upgrade`.
            return
        if self.parser.get_http_version() != "1.1":
            self.expect_100_continue = False
        super().on_headers_complete()
        self._unanswered.append(self.cycle)
        self._message, self._since = Message.BODY, self.loop.time()
        # The request keeps its own list. Trailers go to this new one, which no code reads.
        self.headers = []

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        self._since = self.loop.time()
        self._framing -= len(body)
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        if self._message is Message.BODY:
            self._message, self._since = Message.NOTHING, self.loop.time()
            super().on_message_complete()

    def _without_upgrade(self) -> bytes:
        """Return the last parsed head without its `Upgrade` header (RFC 9110, section 7.8)."""
        line = b"%b %b HTTP/%b\r\n" % (
            self.parser.get_method(),
            self.url,
            self.parser.get_http_version().encode(),
        )
        kept = [b"%b: %b\r\n" % each for each in self.headers if each[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return b"".join((line, *kept, b"\r\n"))

    # Responses, and the end of the connection.

    def on_response_complete(self) -> None:
        """Called by uvicorn after each response."""
        self._unanswered.popleft()
        self._since = self.loop.time()
        super().on_response_complete()
        if self._ended:
            self._finish()
        elif self._input and not self.transport.is_closing():
            self._parse()

    def _end(self, refused: Refused | None) -> None:
        """Stop parsing, send the responses that are due, then `refused` (if any), and close."""
        self._ended = True
        self._input = b""
        self._refused = refused
        if self._message is Message.BODY:
            # The input ends within a request. That request gets this response, unless it has one.
            if self.cycle.response_started:
                self._refused = None
            if not self.cycle.response_complete:
                self._unanswered.pop()
                if self.pipeline:
                    self.pipeline.popleft()
                self.cycle.disconnected = True
                self.cycle.message_event.set()
        if refused is None and self._unanswered:
            self._unanswered[-1].keep_alive = False
        self._finish()

    def _finish(self) -> None:
        if self._unanswered or self.transport.is_closing():
            return
        if self._refused is not None:
            common = self.server_state.default_headers
            self.transport.write(refusal(self._refused).encode(common, keep_alive=False))
        # A close with unread input resets the connection, and the client loses the response.
        self.transport.write_eof()
        self.flow.resume_reading()
        self.loop.call_later(LINGER_S, self.transport.close)

    def __repr__(self) -> str:
        return f"<BoundedHttp {self._phase().value}, {len(self._unanswered)} responses due>"


def _too_large(limit: str) -> Refused:
    message = (
        f"The head of a request takes at most {limit}, trailers and chunk headers included;"
        " nothing was changed; send fewer or shorter headers"
    )
    return Refused(Error.HEAD_TOO_LARGE, message, details=(Detail("", message),))
