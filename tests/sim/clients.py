"""Clients: sequences of requests through gateways, and the history of their answers."""

import asyncio
from dataclasses import dataclass

import msgspec

from ddb.gateway.records import Answer as GatewayAnswer
from ddb.gateway.records import Applied, Cursor, Page, TooManyKeyed, Unavailable
from ddb.gateway.routing.router import Router
from ddb.node.consensus import dedup_window
from ddb.record.change import ANY, Change, Kind, Outcome, tag_of
from ddb.wire.timeouts import DEFAULT
from tests.sim.errand import Lost, Work, through
from tests.sim.history import Answer, Call, Ended, Method, Record
from tests.sim.machines import GatewayGone
from tests.sim.observed import Counted, Listed, Paged, Timed
from tests.sim.plan import Action, Match, Op
from tests.sim.world import World

_METHOD = {
    Action.GET: Method.GET,
    Action.POST: Method.POST,
    Action.PUT: Method.PUT,
    Action.DELETE: Method.DELETE,
}
_KIND = {Action.POST: Kind.CREATE, Action.PUT: Kind.UPDATE, Action.DELETE: Kind.DELETE}
_ENDED = {
    Outcome.DONE: Ended.OK,
    Outcome.ABSENT: Ended.ABSENT,
    Outcome.EXISTS: Ended.EXISTS,
    Outcome.MISMATCH: Ended.MISMATCH,
}
_UNDECIDED = (Ended.NO, Ended.UNKNOWN)


@dataclass(frozen=True, slots=True)
class _Asked:
    """The request of one operation, the same in each attempt."""

    client: int
    serial: int
    action: Action
    id: str
    sent: Record | None
    match: bytes | None
    tags: tuple[bytes, ...]
    key: str | None

    async def work(self, router: Router) -> object:
        """Perform the request in a gateway."""
        if self.action is Action.GET:
            found = await router.read(self.id)
            return GatewayAnswer(Outcome.ABSENT if found is None else Outcome.DONE, found)
        body = b"" if self.sent is None else msgspec.json.encode(self.sent)
        change = Change(_KIND[self.action], body, self.tags)
        return await router.change(self.id, change, key=self.key)


@dataclass(slots=True)
class _Answers:
    """The answers to the attempts at one operation."""

    first: Answer | None = None
    """The first decision."""
    last: Answer | None = None
    unknown: bool = False
    """Whether the outcome of some attempt is unknown."""

    @property
    def final(self) -> Answer | None:
        """The client's conclusion from all answers."""
        if self.first is None and self.unknown and self.last is not None:
            return Answer(Ended.UNKNOWN)
        return self.first or self.last


def record_id(number: int) -> str:
    """Return the id of a plan's record."""
    return f"u{number}"


def _repeats_for_s() -> float:
    """Return for how long a client repeats a keyed write.

    A record remembers the key for its window. The last attempt must end within that.
    """
    return dedup_window.KEYED_WINDOW_S - DEFAULT.request_s


class Clients:
    """All clients of a run."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._serial = 0
        self._seen: dict[tuple[int, str], bytes] = {}

    async def run(self, client: int, ops: list[Op]) -> None:
        """Perform one client's operations in turn."""
        for op in ops:
            await asyncio.sleep(op.gap)
            match op.action:
                case Action.LIST:
                    listed = await self.list_all(op.gateway, len(op.fields))
                    if listed is not None:
                        await self.page(op.gateway, max(1, len(listed.rows) // 2), len(op.fields))
                case Action.COUNT:
                    await self.count(op.gateway)
                case _:
                    await self.act(client, op)

    async def act(self, client: int, op: Op) -> Call:
        """Perform one operation on one record, with its retries."""
        world, asked = self._world, self._ask(client, op)
        invoked = world.loop.now
        answers = _Answers()
        gateway = op.gateway
        for attempt in range(1 + op.retries):
            if attempt:
                await asyncio.sleep(op.pause)
                if world.loop.now > invoked + _repeats_for_s():
                    break
                gateway = (gateway + 1) % len(world.gateways)
            begun = world.loop.now
            answer = await self._attempt(gateway, asked, op, answers)
            key = f" (key {asked.serial})" if asked.key else ""
            world.note(
                f"client {client} {op.action.value} {asked.id} {asked.sent or ''} via"
                f" gw-{gateway} since {begun:.4f}: {answer or 'no answer'}{key}"
            )
            if answer is not None and op.timeout_s >= 1:
                self._timed(asked.id, begun, answer, keyed=asked.key is not None)
            if answer is not None and answer.kind not in _UNDECIDED:
                if answers.first is not None and answer.kind is not answers.first.kind:
                    world.violate("once", f"{asked!r}: first {answers.first}, then {answer}")
                answers.first = answers.first or answer
                if not op.repeat:
                    break
        final = answers.final
        call = Call(
            client=client,
            method=_METHOD[op.action],
            id=asked.id,
            body=asked.sent,
            invoked=invoked,
            returned=None if final is None else world.loop.now,
            answer=final,
            match=None if asked.match is None else msgspec.json.decode(asked.match, type=Record),
        )
        world.observed.calls.append(call)
        world.observed.outcomes[f"{op.action.value} {final.kind.value if final else 'lost'}"] += 1
        return call

    def _ask(self, client: int, op: Op) -> "_Asked":
        self._serial += 1
        serial, name = self._serial, record_id(op.record)
        sent: Record | None = None
        if op.action in (Action.POST, Action.PUT):
            mark = op.key or serial
            whole = {"name": f"n{mark}", "email": f"e{mark}@x.org", "group": serial}
            fields = op.fields if op.action is Action.PUT else tuple(whole)
            sent = {"id": name} | {field: whole[field] for field in fields}
        tags: tuple[bytes, ...] = (ANY,) if op.match is Match.ANY else ()
        match = self._seen.get((client, name)) if op.match is Match.SEEN else None
        if match is not None:
            tags = (tag_of(match),)
        key = op.key or (f"key-{serial}" if op.retries else None)
        return _Asked(client, serial, op.action, name, sent, match, tags, key)

    async def _attempt(
        self, gateway: int, asked: "_Asked", op: Op, answers: "_Answers"
    ) -> Answer | None:
        """Send the request once; return the answer, or None if there is none."""
        try:
            answer = await through(self._world, gateway, asked.work, op.timeout_s, op.cancels)
        except GatewayGone as gone:
            answers.unknown = answers.unknown or gone.begun
            answers.last = None if gone.begun else Answer(Ended.NO)
        except Lost:
            answers.unknown, answers.last = True, None
        except Unavailable as unavailable:
            no = unavailable.applied is Applied.NO
            answers.unknown = answers.unknown or not no
            answers.last = Answer(Ended.NO if no else Ended.UNKNOWN)
        except TooManyKeyed:
            self._world.fired["keyed log full"] += 1
            answers.last = Answer(Ended.NO)
        else:
            assert isinstance(answer, GatewayAnswer)
            if answer.body is not None:
                self._seen[asked.client, asked.id] = answer.body
            answers.last = self._answer(answer)
        return answers.last

    async def list_all(self, gateway: int, limit: int) -> Listed | None:
        """Read all pages; return None if a gateway did not return one."""
        world, loop = self._world, self._world.loop
        began = loop.now
        rows: list[Record] = []
        after: Cursor | None = None
        while True:
            got = await self._page(gateway, after, 0, limit)
            if got is None:
                return None
            more, after = got
            rows += more
            if after is None:
                break
        listed = Listed(began, loop.now, tuple(rows))
        world.note(f"list since {began:.4f}: {[row['id'] for row in rows]}")
        world.observed.listed.append(listed)
        world.observed.outcomes["list ok"] += 1
        return listed

    async def page(self, gateway: int, offset: int, limit: int) -> Paged | None:
        """Read one page from an offset; return None if the gateway did not return it."""
        world, loop = self._world, self._world.loop
        began = loop.now
        got = await self._page(gateway, None, offset, limit)
        if got is None:
            return None
        paged = Paged(began, loop.now, offset, limit, tuple(str(row["id"]) for row in got[0]))
        world.note(f"list from {offset} since {began:.4f}: {list(paged.ids)}")
        world.observed.paged.append(paged)
        return paged

    async def _page(
        self, gateway: int, after: Cursor | None, offset: int, limit: int
    ) -> tuple[list[Record], Cursor | None] | None:
        """Return the rows of one page and the next cursor; each row counts as a GET too."""
        world, invoked = self._world, self._world.loop.now
        page = await self._whole(
            "list", gateway, lambda router: router.page(after=after, offset=offset, limit=limit)
        )
        if page is None:
            return None
        assert isinstance(page, Page)
        rows = [msgspec.json.decode(body, type=Record) for body in page.bodies]
        for row in rows:
            answer = Answer(Ended.OK, row)
            world.observed.calls.append(
                Call(-1, Method.GET, str(row["id"]), None, invoked, world.loop.now, answer)
            )
        return rows, page.next

    async def count(self, gateway: int) -> Counted | None:
        """Perform one COUNT; return None if the gateway did not answer."""
        world, loop = self._world, self._world.loop
        began = loop.now
        count = await self._whole("count", gateway, lambda router: router.count())
        if count is None:
            return None
        assert isinstance(count, int)
        counted = Counted(began, loop.now, count)
        world.note(f"count since {began:.4f}: {count}")
        world.observed.counted.append(counted)
        world.observed.outcomes["count ok"] += 1
        return counted

    async def _whole(self, what: str, gateway: int, work: Work) -> object:
        """Return a gateway's answer to a LIST or a COUNT, or None."""
        world, began = self._world, self._world.loop.now
        try:
            found = await through(world, gateway, work, 1.5, False)
        except (GatewayGone, Lost):
            return None
        except Unavailable:
            world.observed.outcomes[f"{what} no"] += 1
            self._timed(None, began, Answer(Ended.NO))
            return None
        self._timed(None, began, Answer(Ended.OK))
        return found

    def _answer(self, answer: GatewayAnswer) -> Answer:
        if answer.outcome is Outcome.REUSED:
            self._world.violate("once", "a gateway refused the first use of a key as its second")
            return Answer(Ended.UNKNOWN)
        kind = _ENDED[answer.outcome]
        if kind is not Ended.OK or answer.body is None:
            return Answer(kind)
        return Answer(kind, msgspec.json.decode(answer.body, type=Record))

    def _timed(
        self, name: str | None, begun: float, answer: Answer, *, keyed: bool = False
    ) -> None:
        decided = answer.kind not in (Ended.NO, Ended.UNKNOWN)
        self._world.observed.timed.append(
            Timed(name, begun, self._world.loop.now, decided, answer.kind.value, keyed)
        )
