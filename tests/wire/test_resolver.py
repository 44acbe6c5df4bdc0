"""Looking up hosts."""

import asyncio
import socket
from typing import Any

import pytest

from ddb.wire.resolver import Host


class SlowNames(asyncio.SelectorEventLoop):
    """A loop whose resolver takes its time, counts, and says no to every second question."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> Any:
        """Called by whoever looks up a name."""
        self.asked += 1
        unknown = self.asked % 2 == 0
        await asyncio.sleep(0.05)
        if unknown:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("192.0.2.7", port))]


def test_addresses_of_this_machine() -> None:
    """A name has its addresses, and an address is its own."""
    assert "127.0.0.1" in asyncio.run(Host("localhost").addresses())
    assert asyncio.run(Host("192.0.2.1").addresses()) == ["192.0.2.1"]


def test_abandoned_look_up_serves_the_next_one() -> None:
    """Whoever gives up waiting leaves the look-up to the next one, and starts no second."""
    loop = SlowNames()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        host = Host("db-1")

        async def impatient() -> None:
            async with asyncio.timeout(0.01):
                await host.addresses()

        for _ in range(3):
            with pytest.raises(TimeoutError):
                runner.run(impatient())
        assert loop.asked == 1
        assert runner.run(host.addresses()) == ["192.0.2.7"]


def test_every_connection_looks_anew() -> None:
    """A name that was known may be unknown the next time, and known again after that."""
    loop = SlowNames()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        host = Host("db-1")
        assert runner.run(host.addresses()) == ["192.0.2.7"]
        with pytest.raises(OSError, match="not known"):
            runner.run(host.addresses())
        assert runner.run(host.addresses()) == ["192.0.2.7"]
