"""Look-ups of hosts."""

import asyncio
import socket
from typing import Any

import pytest

from ddb.wire.resolver import Host


class SlowResolver(asyncio.SelectorEventLoop):
    """A loop whose resolver takes 50 ms and fails every second look-up."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> Any:
        """Look up a name, as the base class does."""
        self.asked += 1
        fails = self.asked % 2 == 0
        await asyncio.sleep(0.05)
        if fails:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("192.0.2.7", port))]


def test_addresses_of_this_machine() -> None:
    """A name gives its addresses, and an address gives itself."""
    assert "127.0.0.1" in asyncio.run(Host("localhost").addresses())
    assert asyncio.run(Host("192.0.2.1").addresses()) == ["192.0.2.1"]


def test_abandoned_look_up_serves_the_next_one() -> None:
    """A caller that gives up leaves its look-up to the next caller."""
    loop = SlowResolver()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        host = Host("db-1")

        async def briefly() -> None:
            async with asyncio.timeout(0.01):
                await host.addresses()

        for _ in range(3):
            with pytest.raises(TimeoutError):
                runner.run(briefly())
        assert loop.asked == 1
        assert runner.run(host.addresses()) == ["192.0.2.7"]


def test_each_connection_looks_up_its_host() -> None:
    """A look-up may fail after one that succeeded, and succeed after one that failed."""
    loop = SlowResolver()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        host = Host("db-1")
        assert runner.run(host.addresses()) == ["192.0.2.7"]
        with pytest.raises(OSError, match="Temporary failure"):
            runner.run(host.addresses())
        assert runner.run(host.addresses()) == ["192.0.2.7"]
