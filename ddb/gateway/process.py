"""The gateway process: an HTTP server, and links to the nodes."""

import asyncio
import logging
import random
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import cast

import uvicorn
import uvloop
from starlette.applications import Starlette

from ddb.gateway.api.schema import load
from ddb.gateway.api.users import Users
from ddb.gateway.app import State, application
from ddb.gateway.fast_lane import FastLane
from ddb.gateway.http.bounded_http import BoundedHttp
from ddb.gateway.http.bounds import Sweeper, Swept
from ddb.gateway.http.connection_cap import ConnectionCap
from ddb.gateway.routing.one_cluster import OneCluster
from ddb.gateway.routing.router import Router
from ddb.ring.ring import Ring
from ddb.ring.verdict import Judge, Verdict
from ddb.runtime.descriptors import (
    TooFewDescriptors,
    client_connection_limit,
    gateway_reserve,
    raise_limit,
)
from ddb.runtime.parent_watch import notify_of_exit
from ddb.runtime.process_log import LogRefused, ProcessLog, keep_counts, start_log
from ddb.runtime.scheduling import schedule_in_batches
from ddb.runtime.system_clock import SystemClock
from ddb.settings import GatewaySettings, HttpLane
from ddb.wire.link import Link
from ddb.wire.messages import PROTOCOL, Hello
from ddb.wire.network import Network
from ddb.wire.ports import Condition
from ddb.wire.timeouts import Timeouts

log = logging.getLogger(__name__)

STOP_GRACE_S = 3
"""Seconds for which a stopping gateway waits for the requests in flight.

Too low: clients lose answers. Too high: one slow client delays the restart.
"""

_LANES = {HttpLane.FAST: FastLane, HttpLane.ASGI: BoundedHttp}


def run(settings: GatewaySettings) -> int:
    """Run until SIGTERM or SIGINT, and return the exit code. Errors go to stderr."""
    try:
        logs = start_log(settings.log_file)
        raise_limit()
        clients = client_connection_limit(gateway_reserve(len(settings.members)))
    except (LogRefused, TooFewDescriptors) as refused:
        print(f"the gateway: {refused}", file=sys.stderr, flush=True)
        return 1
    schedule_in_batches()
    return uvloop.run(_serve(settings, clients, logs))


async def _serve(settings: GatewaySettings, clients: int, logs: ProcessLog) -> int:
    keep_counts(logs)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[State]:
        clock, rng = SystemClock(), random.Random()
        ring = Ring(tuple(member.name for member in settings.members))

        def hello(callee: str) -> Hello:
            return Hello(PROTOCOL, ring.digest, "a gateway", 0, callee=callee)

        network = Network({})
        one_cluster = OneCluster(lambda name: network.links[name].lost("of another cluster"))
        for member in settings.members:
            network.links[member.name] = Link(
                member.name,
                member.host,
                member.port,
                partial(hello, member.name),
                clock,
                partial(one_cluster.check, member.name),
            )
        timeouts = Timeouts.of(settings.request_budget_ms / 1000)
        router = Router(ring, network, clock, rng, timeouts)
        judge = Judge(ring)

        def verdict() -> Verdict:
            conditions = {name: network.condition(name) for name in ring.names}
            return judge.verdict(
                {name for name in ring.names if conditions[name] <= Condition.SLOW},
                {name for name in ring.names if conditions[name] < Condition.DOWN},
            )

        log.info(
            "%r serves %s:%d, at most %d connections",
            router,
            settings.host,
            settings.port,
            clients,
        )
        try:
            yield State(
                users=Users(
                    router,
                    load("user"),
                    lambda: str(uuid.UUID(int=rng.getrandbits(128), version=4)),
                ),
                records=router,
                verdict=verdict,
                cap=ConnectionCap(clients),
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
            # uvicorn logs through the same bounded handler as the gateway.
            log_config=None,
            log_level="warning",
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=STOP_GRACE_S,
            timeout_keep_alive=75,
        )
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        # After it stops, uvicorn sends the signal again, for the earlier handler. The default
        # handler would end this process as if it had been killed.
        signal.signal(number, server.handle_exit)
    if settings.exit_with_parent:
        notify_of_exit(sys.stdin.fileno(), lambda: server.handle_exit(signal.SIGTERM, None))
    # Both lanes put their connections into this set, and the sweeper closes overdue ones.
    sweeper = Sweeper(cast("Iterable[Swept]", server.server_state.connections))
    sweeper.start()
    try:
        await server.serve()
    except SystemExit:
        # uvicorn exits so if it cannot listen; its log line has the system's error.
        print(
            f"{settings.host}:{settings.port} is already in use, so the gateway did not start. No"
            " data is affected. Stop the other process, or choose another port (`--port`)",
            file=sys.stderr,
            flush=True,
        )
        return 1
    finally:
        sweeper.stop()
    return 0
