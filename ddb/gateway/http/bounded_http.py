"""uvicorn's HTTP protocol with the bounds that it lacks: the complete lane's connection.

uvicorn 0.54's `HttpToolsProtocol` serves everything HTTP/1.1 has. This subclass changes what ddb
promises otherwise:

- Heads, trailers and chunk extensions have no limit, in bytes, lines or time.
- Requests that are sent ahead are parsed without limit: 256 KiB of them for each answer.
- Trailers become headers of the request that they follow.
- Malformed input is answered at once, in plain text, also before the answers to earlier requests.
- A request with `Upgrade` loses its body. Java and curl send that to every server.
- A client that closes its sending half gets no answer, and one that reads nothing is never closed.

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
"""Input is parsed in pieces, so that limits are checked between them.

Too low: a body of 64 KiB takes many calls. Too high: one piece makes many requests, of 3 KB each.
"""

_NOT_HTTP = invalid("", "this is not an HTTP/1.1 request; nothing of it was done")


class Message(Enum):
    """How much of the message that is being received has come."""

    NOTHING = "nothing"
    HEAD = "part of its head"
    BODY = "its head"


class _Flow(FlowControl):
    """Does not read on while requests wait for the answers before theirs."""

    def __init__(self, transport: asyncio.Transport, waiting: deque[Any]) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        """Called by uvicorn for each request that begins or ends."""
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
        """Made by uvicorn, or by the fast lane that hands over."""
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

    # The transport's side.

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
        """Go on with another protocol's connection.

        Args:
            received: what has come and is not answered.
            since: the loop's time at the first byte of it.
            full: True: the transport has called `pause_writing`. False: it takes more.
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
        """Called by the loop. True keeps the connection for the answers that are due."""
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
        """As `Swept.sweep`."""
        unread = self.transport.get_write_buffer_size()
        if self._unread.waited(unread, now) > self.bounds.unread_s:
            # To close would be to wait until the client reads.
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
        """Parse what has come, until a request waits for an earlier one's answer."""
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
            # The parser stops here; the head is parsed again without the offer.
            return
        if self.parser.get_http_version() != "1.1":
            self.expect_100_continue = False
        super().on_headers_complete()
        self._unanswered.append(self.cycle)
        self._message, self._since = Message.BODY, self.loop.time()
        # The request keeps its list: trailers go to this one, which is dropped.
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
        """The head that was parsed last, without the offer of another protocol (RFC 9110, 7.8)."""
        line = b"%b %b HTTP/%b\r\n" % (
            self.parser.get_method(),
            self.url,
            self.parser.get_http_version().encode(),
        )
        kept = [b"%b: %b\r\n" % each for each in self.headers if each[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return b"".join((line, *kept, b"\r\n"))

    # Answering, and the end.

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
        """Parse no more: after the answers that are due, answer `refused` (if any) and close."""
        self._ended = True
        self._input = b""
        self._refused = refused
        if self._message is Message.BODY:
            # The request in which the input ends gets this answer, unless it has one.
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
        # To close with bytes unread is to reset: the client would lose the answer.
        self.transport.write_eof()
        self.flow.resume_reading()
        self.loop.call_later(LINGER_S, self.transport.close)

    def __repr__(self) -> str:
        return f"<BoundedHttp {self._phase().value}, {len(self._unanswered)} answers due>"


def _too_large(limit: str) -> Refused:
    message = (
        f"The head of a request takes at most {limit}, trailers and chunk headers included;"
        " nothing of it was done; send fewer or shorter headers"
    )
    return Refused(Error.HEAD_TOO_LARGE, message, details=(Detail("", message),))
