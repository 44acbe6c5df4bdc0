"""The changes that wait for a record's turn, and the one round that decides them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
import pytest

from ddb.node.replica.copies import WrongCell
from ddb.record.change import Kind, Outcome, tag_of
from ddb.record.codec import encode
from ddb.record.keyed_log import count
from ddb.record.state import State
from ddb.record.version import Dot
from ddb.ring.ring import key_of
from ddb.wire.messages import (
    ChangeResult,
    CoordinateChange,
    LogFull,
    Overloaded,
    Propose,
    Reply,
    Undecided,
)
from ddb.wire.timeouts import DEFAULT, Timeouts
from tests.fakes.cell import CELL, CLOCK, KEY, NAME, OTHER_HOME, RING, CellNode, cell_node
from tests.fakes.node import RING as RING_OF_FOUR
from tests.fakes.node import voting
from tests.fakes.transport import Asked, FakeTransport, fails_after, from_replicas
from tests.loop import run, turns

FAR_S = 5.0
OLD = b'{"a":0,"b":1}'
BASE, NEWER = (State((Dot(counter << 40, 9),), True, OLD) for counter in (1, 2))
COMBINER = "ddb.node.fastpath.combiner."


def change_of(
    number: int,
    kind: Kind = Kind.UPDATE,
    body: bytes = b"",
    match: tuple[bytes, ...] = (),
    *,
    keyed: bool = False,
    begin_ms: int = 0,
) -> CoordinateChange:
    """Return a change under the operation `number`; an update sets `a` to the number."""
    fingerprint = b"abcd" if keyed else b""
    if kind is Kind.UPDATE:
        body = body or b'{"a":%d}' % number
    return CoordinateChange(
        KEY, kind, body, match, name_of(number), fingerprint, keyed, b"sender", 0, begin_ms
    )


def name_of(number: int) -> bytes:
    """Return the id of the operation `number`."""
    return b"%08dname" % number


def body(number: int) -> bytes:
    """Return the record after the update `number`."""
    return b'{"a":%d,"b":1}' % number


@dataclass(frozen=True, slots=True)
class Cell:
    """The three nodes of a cell, and the transport between their replicas."""

    nodes: dict[str, CellNode]
    transport: FakeTransport

    @property
    def home(self) -> CellNode:
        """The node that coordinates."""
        return self.nodes[NAME]

    async def store(self, **states: State) -> None:
        """Store the record in `home`, `other` and `standby`; by default the homes have `BASE`."""
        for name, key in ((NAME, "home"), (OTHER_HOME, "other"), (CELL.standby, "standby")):
            state = states.get(key, None if key == "standby" else BASE)
            if state is not None:
                await self.nodes[name].store_state(KEY, encode(state))
        await self.home.ballots.issue(above=NEWER.newest)

    def ask(self, change: CoordinateChange, left_s: float = FAR_S) -> asyncio.Future[Reply]:
        """Send a change that has to wait, `left_s` seconds before its deadline."""
        handling = self.home.fast_write.change(change, CLOCK.now() + left_s)
        assert isinstance(handling, asyncio.Future)
        return handling

    @asynccontextmanager
    async def busy(self) -> AsyncIterator[None]:
        """Keep the record's turn inside the context."""
        self.home.coordinator.queue.enter(KEY)
        yield
        await turns()
        self.home.coordinator.queue.leave(KEY)

    @property
    def rounds(self) -> int:
        """The number of proposals so far."""
        return sum(isinstance(asked.request, Propose) for asked in self.transport.asked)

    @property
    def state(self) -> State:
        """The coordinator's copy."""
        return self.home.replica.copies.state(KEY)

    @property
    def idle(self) -> bool:
        """Whether no change waits and the key is free."""
        queue = self.home.coordinator.queue
        return queue.free(KEY) and repr(self.home.fast_write._combiner) == "<Combiner 0 records>"


@contextmanager
def cell_at(
    path: Path,
    silent: Callable[[Asked], Awaitable[Reply] | None],
    timeouts: Timeouts = DEFAULT,
) -> Iterator[Cell]:
    """Run the three nodes. `silent` may replace a replica's reply to a request."""
    nodes: dict[str, CellNode] = {}

    def reply(asked: Asked) -> Awaitable[Reply]:
        replicas = from_replicas({name: node.replica for name, node in nodes.items()})
        handling = silent(asked) or replicas(asked)
        assert isinstance(handling, Awaitable)
        return handling

    transport = FakeTransport(reply)
    with ExitStack() as stack:
        for number, name in enumerate(RING.names, 1):
            nodes[name] = stack.enter_context(
                cell_node(path / name, name, transport, node_id=number, timeouts=timeouts)
            )
        yield Cell(nodes, transport)


def all_reply(asked: Asked) -> None:
    """Let each replica reply."""


def from_other_home_after(seconds: float, asked: Asked) -> Awaitable[Reply] | None:
    """Let the other home be silent for `seconds`, and the standby reply."""
    return fails_after(seconds, asked) if asked.to == OTHER_HOME else None


BEHIND = State((Dot(1 << 39, 9),), True, b'{"a":9,"b":9}')


@pytest.mark.parametrize(
    ("states", "other_is_silent"),
    [
        ({}, False),
        ({"other": BEHIND}, False),
        ({"home": BEHIND}, False),
        ({"other": State()}, False),
        ({}, True),
    ],
    ids=["equal", "partner-behind", "partner-ahead", "partner-absent", "partner-silent"],
)
def test_waiting_changes_share_one_round(
    tmp_path: Path, states: dict[str, State], other_is_silent: bool
) -> None:
    """Each waiting change gets its own result, in order of arrival, with any state of the peer."""
    asked = [
        change_of(1),
        change_of(2, Kind.CREATE, b'{"a":2}'),
        change_of(3, match=(tag_of(body(1)),)),
        change_of(4, match=(tag_of(body(1)),)),
        change_of(5, Kind.DELETE),
        change_of(6),
        change_of(7, Kind.CREATE, b'{"a":7,"b":1}'),
        change_of(8, keyed=True),
    ]
    expected = [
        ChangeResult(Outcome.DONE, body(1)),
        ChangeResult(Outcome.EXISTS, body(1)),
        ChangeResult(Outcome.DONE, body(3)),
        ChangeResult(Outcome.MISMATCH, body(3)),
        ChangeResult(Outcome.DONE, None),
        ChangeResult(Outcome.ABSENT, None),
        ChangeResult(Outcome.DONE, body(7)),
        ChangeResult(Outcome.DONE, body(8)),
    ]
    silent = partial(from_other_home_after, 0.02) if other_is_silent else all_reply

    async def scenario(cell: Cell) -> None:
        await cell.store(**states)
        async with cell.busy():
            answers = [cell.ask(each) for each in asked]
        assert await asyncio.gather(*answers) == expected
        assert cell.rounds == (2 if other_is_silent else 1)
        recorded = [entry.operation.id for entry in cell.state.recent]
        assert recorded == [name_of(number) for number in (1, 3, 5, 7)] or other_is_silent
        assert (cell.state.value, count(cell.state.keyed)) == (body(8), 1)
        counters = cell.home.coordinator.counters
        assert (counters.operations, counters.combined) == (8, 7)
        assert cell.idle

    with cell_at(tmp_path, silent) as cell:
        run(scenario(cell))


def test_changes_that_change_nothing_need_no_round(tmp_path: Path) -> None:
    """Refusals and retries that the decided state has already are answered like a read."""

    async def scenario(cell: Cell) -> None:
        await cell.store()
        assert await cell.ask(change_of(1)) == ChangeResult(Outcome.DONE, body(1))
        assert cell.rounds == 1
        async with cell.busy():
            again = cell.ask(change_of(1))
            refused = cell.ask(change_of(2, Kind.CREATE, OLD))
        assert await again == ChangeResult(Outcome.DONE, body(1))
        assert await refused == ChangeResult(Outcome.EXISTS, body(1))
        assert cell.rounds == 1

    with cell_at(tmp_path, all_reply) as cell:
        run(scenario(cell))


@pytest.mark.parametrize(
    ("constant", "limit", "rounds"), [("MAX_COMBINED_CHANGES", 2, 3), ("MAX_COMBINED_BYTES", 1, 5)]
)
def test_rounds_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, constant: str, limit: int, rounds: int
) -> None:
    """A round takes a bounded number of changes and bytes; the others wait in their order."""
    monkeypatch.setattr(COMBINER + constant, limit)

    async def scenario(cell: Cell) -> None:
        await cell.store()
        async with cell.busy():
            answers = [cell.ask(change_of(number)) for number in range(1, 6)]
        replies = await asyncio.gather(*answers)
        assert replies == [ChangeResult(Outcome.DONE, body(number)) for number in range(1, 6)]
        assert cell.rounds == rounds
        assert cell.idle

    with cell_at(tmp_path, all_reply) as cell:
        run(scenario(cell))


def test_newcomer_does_not_overtake_waiting_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change that arrives between two rounds waits behind the earlier ones."""
    monkeypatch.setattr(COMBINER + "MAX_COMBINED_CHANGES", 1)

    async def scenario(cell: Cell) -> None:
        await cell.store()
        async with cell.busy():
            answers = [cell.ask(change_of(number)) for number in (1, 2, 3)]
        await answers[0]
        newcomer = cell.ask(change_of(4))
        order = list[int]()

        def note(number: int, _: asyncio.Future[Reply]) -> None:
            order.append(number)

        for number, answer in enumerate((*answers, newcomer), 1):
            answer.add_done_callback(partial(note, number))
        await newcomer
        await turns()
        assert sorted(order) == order

    with cell_at(tmp_path, all_reply) as cell:
        run(scenario(cell))


def test_change_without_a_turn_in_time_is_refused(tmp_path: Path) -> None:
    """A change that must begin earlier is refused; those that wait with it have their round."""

    async def scenario(cell: Cell) -> None:
        await cell.store()
        async with cell.busy():
            late = cell.ask(change_of(1, begin_ms=100), 0.12)
            waiting = cell.ask(change_of(2))
            assert isinstance(await late, Overloaded)
        assert await waiting == ChangeResult(Outcome.DONE, body(2))
        assert cell.idle

    with cell_at(tmp_path, all_reply) as cell:
        run(scenario(cell))


def test_change_is_refused_at_its_turn_if_the_loop_was_late(tmp_path: Path) -> None:
    """A paused process does not begin changes that were due meanwhile."""

    async def scenario(cell: Cell) -> None:
        await cell.store()
        queue = cell.home.coordinator.queue
        queue.enter(KEY)
        late, waiting = cell.ask(change_of(1, begin_ms=100), 0.12), cell.ask(change_of(2))
        await turns(2)
        queue.leave(KEY)
        began = CLOCK.now()
        while CLOCK.now() < began + 0.03:
            pass
        assert isinstance(await late, Overloaded)
        assert await waiting == ChangeResult(Outcome.DONE, body(2))

    with cell_at(tmp_path, all_reply) as cell:
        run(scenario(cell))


def test_change_that_would_wait_too_long_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The estimate counts one turn per round, not one per change."""
    monkeypatch.setattr(COMBINER + "MAX_COMBINED_CHANGES", 10)

    async def scenario(cell: Cell) -> None:
        await cell.store()
        cell.home.coordinator.queue._mean_turn_s = 0.05
        async with cell.busy():
            answers = [cell.ask(change_of(number)) for number in range(1, 21)]
            await turns(2)
            # The turn in progress and two full rounds come first.
            refused = cell.home.fast_write.change(change_of(21), CLOCK.now() + FAR_S)
            assert isinstance(refused, Overloaded)
        assert {type(reply) for reply in await asyncio.gather(*answers)} == {ChangeResult}
        assert cell.rounds == 2

    with cell_at(tmp_path, all_reply) as cell:
        run(scenario(cell))


def test_change_with_little_time_shares_no_round_with_others(tmp_path: Path) -> None:
    """A round ends with its earliest deadline, so a short one does not end that of others."""

    async def scenario(cell: Cell) -> None:
        await cell.store()
        async with cell.busy():
            answers = [
                cell.ask(change_of(number), 0.06 if number == 2 else FAR_S) for number in (1, 2, 3)
            ]
        await asyncio.gather(*answers)
        assert cell.rounds == 3

    with cell_at(tmp_path, all_reply) as cell:
        run(scenario(cell))


def test_round_goes_on_without_a_change_past_its_deadline(tmp_path: Path) -> None:
    """A change whose deadline passes during a round is undecided, and no later message has it."""

    async def scenario(cell: Cell) -> None:
        await cell.store()
        async with cell.busy():
            expires = cell.ask(change_of(1), 0.1)
            other = cell.ask(change_of(2, body=b'{"b":2}'))
        assert await other == ChangeResult(Outcome.DONE, b'{"a":0,"b":2}')
        assert await expires == Undecided(True, "no peer replied in time")
        assert cell.state.value == b'{"a":0,"b":2}'

    with cell_at(tmp_path, partial(from_other_home_after, 0.15)) as cell:
        run(scenario(cell))


def test_undecided_round_puts_each_of_its_changes_in_doubt(tmp_path: Path) -> None:
    """A refusal whose round no node confirms is undecided, too: it depends on the others."""

    async def scenario(cell: Cell) -> None:
        await cell.store()
        async with cell.busy():
            answers = [cell.ask(change_of(1, Kind.DELETE)), cell.ask(change_of(2))]
        replies = await asyncio.gather(*answers)
        assert replies == [Undecided(True, "neither peer replied")] * 2
        assert cell.idle

    with cell_at(tmp_path, partial(fails_after, 0.02)) as cell:
        run(scenario(cell))


@pytest.mark.parametrize("other", [BASE, BEHIND], ids=["equal", "behind"])
def test_change_without_room_is_refused_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: State
) -> None:
    """The round decides as many keyed changes as fit, and all changes without a key."""
    monkeypatch.setattr("ddb.node.consensus.dedup_window.MAX_KEYED_ENTRIES", 2)

    async def scenario(cell: Cell) -> None:
        await cell.store(other=other)
        async with cell.busy():
            answers = [cell.ask(change_of(number, keyed=True)) for number in (1, 2, 3, 1)]
            answers.append(cell.ask(change_of(4)))
        first, second, third, again, fourth = await asyncio.gather(*answers)
        assert isinstance(third, LogFull)
        assert (first, second) == tuple(ChangeResult(Outcome.DONE, body(n)) for n in (1, 2))
        assert again == ChangeResult(Outcome.DONE, body(2))
        assert fourth == ChangeResult(Outcome.DONE, body(4))
        assert count(cell.state.keyed) == 2
        assert cell.rounds == 1

    with cell_at(tmp_path, all_reply) as cell:
        run(scenario(cell))


@pytest.mark.parametrize("which", [0, 1, 2])
def test_cancelled_change_leaves_the_others_alone(tmp_path: Path, which: int) -> None:
    """A change whose answer is cancelled while it waits does not begin."""

    async def scenario(cell: Cell) -> None:
        await cell.store()
        async with cell.busy():
            answers = [cell.ask(change_of(number)) for number in (1, 2, 3)]
            answers.pop(which).cancel()
        assert {type(reply) for reply in await asyncio.gather(*answers)} == {ChangeResult}
        assert name_of(which + 1) not in [each.operation.id for each in cell.state.recent]
        assert cell.idle

    with cell_at(tmp_path, all_reply) as cell:
        run(scenario(cell))


def test_error_of_a_round_ends_all_changes_that_wait(tmp_path: Path) -> None:
    """If a round ends with an error, no change waits for ever, and the record stays usable."""
    key = next(
        key
        for key in map(key_of, map(str, range(999)))
        if "db-0" not in RING_OF_FOUR.cell(key).nodes
    )

    async def scenario() -> None:
        async with voting(tmp_path) as (node, _):
            for _ in range(2):
                changes = [msgspec.structs.replace(change_of(number), key=key) for number in (1, 2)]
                deadline = node.coordinator._clock.now() + FAR_S
                answers = list[asyncio.Future[Reply]]()
                for each in changes:
                    handling = node.fast_write.change(each, deadline)
                    assert isinstance(handling, asyncio.Future)
                    answers.append(handling)
                ends = await asyncio.gather(*answers, return_exceptions=True)
                assert {type(end) for end in ends} == {WrongCell}
                assert node.coordinator.queue.free(key)

    run(scenario())
