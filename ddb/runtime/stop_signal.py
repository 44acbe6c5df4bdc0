"""The request to stop this process, by SIGTERM or SIGINT."""

import asyncio
import signal
from types import FrameType


class StopSignal:
    """Remembers that the process has to stop.

    The handlers belong to the process. A handler of an event loop loses each signal that arrives
    before that loop runs or after it has ended.
    """

    __slots__ = ("_future", "requested")

    def __init__(self) -> None:
        """Handle SIGTERM and SIGINT from now on."""
        self.requested = False
        self._future: asyncio.Future[None] | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def future(self) -> asyncio.Future[None]:
        """Return a future of the running loop, done once the process has to stop."""
        # The attribute comes first: a signal between the two lines resolves the future twice.
        self._future = future = asyncio.get_running_loop().create_future()
        if self.requested:
            _resolve(future)
        return future

    def request(self) -> None:
        """Request the stop."""
        self.requested = True
        if self._future is not None and not self._future.get_loop().is_closed():
            # The signal may have interrupted the loop at any instruction.
            self._future.get_loop().call_soon_threadsafe(_resolve, self._future)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.request()

    def __repr__(self) -> str:
        return f"<StopSignal, {'requested' if self.requested else 'not requested'}>"


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
