"""A gateway as a process: HTTP in front, links to the nodes behind."""

import asyncio
import logging
import random
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import cast

import uvicorn
import uvloop
from starlette.applications import Starlette

from ddb.gateway.app import State, application
from ddb.gateway.bounded_http import BoundedHttp
from ddb.gateway.bounds import Sweeper, Swept
from ddb.gateway.connection_cap import ConnectionCap
from ddb.gateway.fast_lane import FastLane
from ddb.gateway.router import Router
from ddb.gateway.schema import load
from ddb.gateway.users import Users
from ddb.ring.ring import Ring
from ddb.settings import GatewaySettings, HttpLane
from ddb.wire.clock import SystemClock
from ddb.wire.descriptors import (
    TooFewDescriptors,
    client_connection_limit,
    gateway_reserve,
    raise_limit,
)
from ddb.wire.link import Link
from ddb.wire.messages import PROTOCOL, Hello
from ddb.wire.network import Network
from ddb.wire.parent import gone
from ddb.wire.scheduling import in_batches

log = logging.getLogger(__name__)

GRACEFUL = 3
"""Seconds for requests in progress to end when told to stop."""

_LANES = {HttpLane.FAST: FastLane, HttpLane.ASGI: BoundedHttp}


def run(settings: GatewaySettings) -> int:
    """Run until told to stop; the exit code. What goes wrong is said on stderr."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    in_batches()
    raise_limit()
    try:
        limit = client_connection_limit(gateway_reserve(len(settings.members)))
    except TooFewDescriptors as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    return uvloop.run(_serve(settings, limit))


async def _serve(settings: GatewaySettings, limit: int) -> int:
    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[State]:
        clock, rng = SystemClock(), random.Random()
        ring = Ring(tuple(member.name for member in settings.members))
        hello = Hello(PROTOCOL, ring.digest, "a gateway", 0)
        network = Network(
            {
                member.name: Link(member.name, member.host, member.port, hello, clock)
                for member in settings.members
            }
        )
        router = Router(ring, network, clock, rng)
        log.info("%r serves %s:%d", router, settings.host, settings.port)
        try:
            yield State(
                users=Users(
                    router,
                    load("user"),
                    lambda: str(uuid.UUID(int=rng.getrandbits(128), version=4)),
                ),
                records=router,
                cap=ConnectionCap(limit, clock.now),
            )
        finally:
            network.close()
            await asyncio.sleep(0)

    server = uvicorn.Server(
        uvicorn.Config(
            application(lifespan),
            host=settings.host,
            port=settings.port,
            http=_LANES[settings.http_lane],
            interface="asgi3",
            ws="none",
            lifespan="on",
            access_log=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=GRACEFUL,
            timeout_keep_alive=75,
        )
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        # Once it has stopped, uvicorn signals itself again, for whoever handled signals before it:
        # by default that would end this process as if it had been killed.
        signal.signal(number, server.handle_exit)
    if settings.exit_with_parent:
        gone(sys.stdin.fileno(), lambda: server.handle_exit(signal.SIGTERM, None))
    # Both lanes put their connections there, and both can be swept.
    sweeper = Sweeper(cast("Iterable[Swept]", server.server_state.connections))
    sweeper.start()
    try:
        await server.serve()
    except SystemExit:
        # uvicorn's way to say that it could not listen; its log line names the address.
        print(f"{settings.host}:{settings.port} is already in use", file=sys.stderr, flush=True)
        return 1
    finally:
        sweeper.stop()
    return 0
