"""Overload: the answers to more clients than the cluster can serve.

    python -m bench.overload HOST:PORT ... [--seconds 4] [--clients 32,128,512,2048]

Each client sends its next request at once after an answer, also after a refusal. No conduct of
clients is worse. The program loads several gateways in turn, to compare them.
"""

import argparse
import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import zip_longest
from typing import cast

import msgspec
import uvloop

from bench.cpu import used

RECORDS = 1000
"""Users in the cluster. Fewer: clients compete for the same records more often."""
LISTERS = 16
"""Clients of LIST, in addition to those of GET."""
CROWDS = (32, 128, 512, 2048)
"""Numbers of clients."""

Make = Callable[[], bytes]
"""Returns the bytes of the next request."""


@dataclass(slots=True)
class Seen:
    """The answers to one kind of clients.

    `statuses`: the number of answers by meaning. good: a success. no: a refusal, not applied.
    unknown: possibly applied.
    """

    statuses: Counter[str] = field(default_factory=Counter)
    good: list[float] = field(default_factory=list)
    """Seconds of each success."""
    refused: list[float] = field(default_factory=list)
    """Seconds of each other answer."""

    def take(self, status: int, body: bytes, took: float) -> None:
        """Count one answer, which took `took` seconds."""
        if status < 300:
            self.statuses["good"] += 1
            self.good.append(took)
            return
        self.refused.append(took)
        self.statuses["no" if b'"applied":"no"' in body else "unknown"] += 1

    def line(self, seconds: float) -> str:
        """Return the rates by meaning, and the 50th and 99th percentile of successes.

        Args:
            seconds: Duration of the load.
        """
        rates = " ".join(
            f"{name} {self.statuses[name] / seconds:7.0f}/s" for name in ("good", "no", "unknown")
        )
        return f"{rates}  p50 {_at(self.good, 0.5):5.0f} ms  p99 {_at(self.good, 0.99):5.0f} ms"


def _at(times: list[float], share: float) -> float:
    if not times:
        return 0.0
    return 1000 * sorted(times)[min(len(times) - 1, int(share * len(times)))]


class Client(asyncio.Protocol):
    """One connection with one request in flight."""

    def __init__(self, make: Make, seen: Seen) -> None:
        self._make, self._seen, self._until = make, seen, 0.0
        self._data = b""
        self._sent = 0.0
        self._transport: asyncio.Transport | None = None
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)

    def start(self, until: float) -> None:
        """Send requests until a moment on `time.monotonic`."""
        self._until = until
        self._send()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._data = self._data + data if self._data else data
        head, found, body = self._data.partition(b"\r\n\r\n")
        if not found:
            return
        _, _, after = head.partition(b"content-length: ")
        length = int(after.partition(b"\r\n")[0] or 0)
        if len(body) < length:
            return
        self._data = b""
        self._seen.take(int(head[9:12]), body, time.monotonic() - self._sent)
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        if not self.ended.done():
            self.ended.set_result(exc)

    def _send(self) -> None:
        transport = cast("asyncio.Transport", self._transport)
        self._sent = time.monotonic()
        if self._sent > self._until:
            transport.close()
            return
        transport.write(self._make())


def _get() -> bytes:
    return b"GET /api/users/u%d HTTP/1.1\r\nhost: x\r\n\r\n" % random.randrange(RECORDS)


def _put(record: Callable[[], int]) -> Make:
    def make() -> bytes:
        body = b'{"id":"u%d","group":%d}' % (record(), random.randrange(10**6))
        return b"PUT /api/users/ HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (
            len(body),
            body,
        )

    return make


def _list() -> bytes:
    return b"GET /api/users/?limit=1000 HTTP/1.1\r\nhost: x\r\n\r\n"


def _zipf() -> int:
    return min(RECORDS, int(random.paretovariate(0.6))) - 1


WORKLOADS: dict[str, Callable[[int], dict[str, tuple[Make, int]]]] = {
    "uniform PUT": lambda clients: {"PUT": (_put(lambda: random.randrange(RECORDS)), clients)},
    "hot PUT": lambda clients: {"PUT": (_put(lambda: 0), clients)},
    "Zipf PUT": lambda clients: {"PUT": (_put(_zipf), clients)},
    "GET": lambda clients: {"GET": (_get, clients)},
    "LIST with GET": lambda clients: {"GET": (_get, clients), "LIST": (_list, LISTERS)},
}


async def loaded(
    host: str, port: int, seconds: float, kinds: dict[str, tuple[Make, int]]
) -> dict[str, Seen]:
    """Load a gateway and return the answers by kind of client.

    Args:
        host: The gateway's host.
        port: The gateway's port.
        seconds: Duration of the load.
        kinds: For each kind its requests and the number of its clients.
    """
    loop = asyncio.get_running_loop()
    seen = {kind: Seen() for kind in kinds}
    clients = []
    for kind, (make, count) in kinds.items():
        for _ in range(count):
            _, client = await loop.create_connection(partial(Client, make, seen[kind]), host, port)
            clients.append(client)
    until = time.monotonic() + seconds
    for client in clients:
        client.start(until)
    await asyncio.wait([client.ended for client in clients], timeout=seconds + 10)
    return seen


async def filled(host: str, port: int) -> None:
    """Create the users."""
    for number in range(RECORDS):
        reader, writer = await asyncio.open_connection(host, port)
        user = {"id": f"u{number}", "name": "Ada Lovelace", "email": "ada@example.com", "group": 1}
        body = msgspec.json.encode(user)
        writer.write(
            b"POST /api/users/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(body), body)
        )
        await reader.read()
        writer.close()


async def _main(arguments: argparse.Namespace) -> None:
    gateways = [address.rpartition(":")[::2] for address in arguments.address]
    for host, port in gateways:
        await filled(host, int(port))
    for name, kinds in WORKLOADS.items():
        if arguments.only and arguments.only not in name:
            continue
        for clients in map(int, arguments.clients.split(",")):
            print(f"{name}, {clients} clients", flush=True)
            for (host, port), root in zip_longest(gateways, arguments.roots):
                roots = [root] if root else []
                before = used(roots)
                seen = await loaded(host, int(port), arguments.seconds, kinds(clients))
                cpu = used(roots) - before
                for kind, answers in seen.items():
                    worth = f"  {len(answers.good) / cpu:5.0f} per CPU second" if cpu else ""
                    print(f"    {kind:<5}{answers.line(arguments.seconds)}{worth}", flush=True)
                await asyncio.sleep(0.5)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("address", metavar="HOST:PORT", nargs="+")
    parser.add_argument(
        "--roots", type=int, nargs="*", default=[], help="pid of `ddb up` of each gateway"
    )
    parser.add_argument("--seconds", type=float, default=4.0, help="duration of each load (4)")
    parser.add_argument("--clients", default=",".join(map(str, CROWDS)))
    parser.add_argument("--only", default="", help="workloads whose name contains this text")
    uvloop.run(_main(parser.parse_args()))
