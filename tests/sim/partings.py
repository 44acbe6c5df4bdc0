"""Faults of the network: cut and slow paths, broken connections, bad weather."""

import asyncio

from tests.sim.network import Weather
from tests.sim.plan import Fault, FaultKind
from tests.sim.targets import Acts, Targets


class Partings:
    """Faults that lose or delay messages."""

    def __init__(self, targets: Targets) -> None:
        self._targets = targets
        self._world = targets.world
        self._storms = 0
        self.acts: Acts = {
            FaultKind.ISOLATE: self._isolate,
            FaultKind.CUT: self._cut,
            FaultKind.DEAF: self._deaf,
            FaultKind.BLIND: self._blind,
            FaultKind.CLOG: self._clog,
            FaultKind.SLOW_WAY: self._slow_way,
            FaultKind.SLOW_ASK: self._slow_ask,
            FaultKind.RESET: self._reset,
            FaultKind.STORM: self._storm,
            FaultKind.LAG: self._lag,
        }

    async def _between(self, fault: Fault, pairs: list[tuple[str, str]], who: str) -> None:
        self._targets.fired(fault)
        cut, trouble = self._world.network.cut, self._world.trouble(who)
        for pair in pairs:
            cut[pair] += 1
        await asyncio.sleep(fault.lasts)
        for pair in pairs:
            cut[pair] -= 1
        self._targets.end_trouble(trouble)

    async def _isolate(self, fault: Fault) -> None:
        world, one = self._world, self._targets.name(fault.one)
        others = [name for name in world.names if name != one]
        others += [gateway.name for gateway in world.gateways]
        pairs = [(one, other) for other in others] + [(other, one) for other in others]
        await self._between(fault, pairs, one)

    async def _cut(self, fault: Fault) -> None:
        one, other = self._targets.name(fault.one), self._targets.name(fault.other)
        await self._between(fault, [(one, other), (other, one)], one)

    async def _deaf(self, fault: Fault) -> None:
        one, other = self._targets.name(fault.one), self._targets.name(fault.other)
        await self._between(fault, [(one, other)], one)

    async def _blind(self, fault: Fault) -> None:
        one = self._targets.name(fault.one)
        gateway = self._targets.gateway(fault.other).name
        pairs = [(gateway, one), (one, gateway)]
        if fault.amount < 0.5:
            pairs.pop()
        await self._between(fault, pairs, one)

    async def _clog(self, fault: Fault) -> None:
        self._targets.fired(fault)
        one, other = self._targets.name(fault.one), self._targets.name(fault.other)
        clogged, trouble = self._world.network.clogged, self._world.trouble()
        pairs = [(one, other)] + ([(other, one)] if fault.amount < 0.5 else [])
        for pair in pairs:
            clogged[pair] += 1
        await asyncio.sleep(fault.lasts)
        for pair in pairs:
            clogged[pair] -= 1
        # Messages in flight are still late.
        await asyncio.sleep(0.5)
        self._targets.end_trouble(trouble)

    async def _slow_way(self, fault: Fault) -> None:
        await self._slow(fault, self._targets.name(fault.one), self._targets.name(fault.other))

    async def _slow_ask(self, fault: Fault) -> None:
        gateways = self._world.gateways
        await self._slow(
            fault, gateways[fault.other % len(gateways)].name, self._targets.name(fault.one)
        )

    async def _slow(self, fault: Fault, source: str, target: str) -> None:
        self._targets.fired(fault)
        longer, trouble = self._world.network.longer, self._world.trouble()
        longer[source, target] = 0.01 * fault.amount
        await asyncio.sleep(fault.lasts)
        longer.pop((source, target), None)
        self._targets.end_trouble(trouble)

    async def _reset(self, fault: Fault) -> None:
        self._targets.fired(fault)
        world = self._world
        one, other = self._targets.name(fault.one), self._targets.name(fault.other)
        if fault.amount < 0.3:
            other = self._targets.gateway(fault.other).name
        trouble = world.trouble(one)
        world.reset(one, other)
        await asyncio.sleep(0.02)
        self._targets.end_trouble(trouble)

    async def _storm(self, fault: Fault) -> None:
        delay, jitter = self._world.rough.delay, self._world.rough.jitter
        await self._squall(fault, Weather(delay, jitter, 0.3 * fault.amount, 0.2, 0.3, 0.2))

    async def _lag(self, fault: Fault) -> None:
        rough = self._world.rough
        await self._squall(
            fault, Weather(rough.delay, rough.jitter, 0.0, 0.0, 0.8, max(0.02, rough.lateness))
        )

    async def _squall(self, fault: Fault, weather: Weather) -> None:
        self._targets.fired(fault)
        world = self._world
        trouble = world.trouble()
        self._storms += 1
        world.network.weather = weather
        await asyncio.sleep(fault.lasts)
        self._storms -= 1
        if not self._storms:
            world.network.weather = world.rough
        await asyncio.sleep(0.5)
        self._targets.end_trouble(trouble)

    def __repr__(self) -> str:
        return f"<Partings in {self._world!r}>"
