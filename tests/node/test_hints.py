"""Bookkeeping of hints, against a model that remembers everything."""

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from ddb.node.hints import HintBook
from ddb.record.version import Dot

PARTITIONS = st.integers(0, 2)
KEYS = st.sampled_from([b"k", b"l", b"m"])
HOMES = st.sampled_from(["home", "partner"])


@dataclass(slots=True)
class Hint:
    """One hint: its newest dot, and up to where each home is known to hold it."""

    newest: Dot
    held: dict[str, Dot] = field(default_factory=dict)

    @property
    def alone(self) -> bool:
        """Whether no home is known to hold its newest state."""
        return all(dot < self.newest for dot in self.held.values())


class HintBookMachine(RuleBasedStateMachine):
    """Hints begin, change, are kept by homes and let go of, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.book = HintBook()
        self.hints: dict[int, dict[bytes, Hint]] = {}
        self.began: dict[int, int] = {}
        self.clock = 0

    def tick(self) -> Dot:
        """A newer dot."""
        self.clock += 1
        return Dot(self.clock, 1)

    @rule(partition=PARTITIONS, key=KEYS)
    def accept(self, partition: int, key: bytes) -> None:
        """A hint begins or changes."""
        dot = self.tick()
        hints = self.hints.setdefault(partition, {})
        new = key not in hints
        if not hints:
            self.began[partition] = dot.counter
        self.book.accepted(partition, key, dot, new, dot.counter)
        hints[key] = Hint(dot, {} if new else hints[key].held)

    @rule(partition=PARTITIONS, key=KEYS, home=HOMES, behind=st.integers(0, 3))
    def keep(self, partition: int, key: bytes, home: str, behind: int) -> None:
        """A home says how far it holds a key."""
        hint = self.hints.get(partition, {}).get(key)
        if hint is not None:
            dot = Dot(max(1, hint.newest.counter - behind), 1)
            hint.held[home] = max(dot, hint.held.get(home, dot))
            self.book.kept(partition, key, home, dot)

    @rule(partition=PARTITIONS, key=KEYS)
    def drop(self, partition: int, key: bytes) -> None:
        """A hint is let go of."""
        if self.hints.get(partition, {}).pop(key, None):
            self.book.dropped(partition, key)

    @invariant()
    def counts_agree(self) -> None:
        """How many there are, and since when."""
        held = {partition: len(hints) for partition, hints in self.hints.items() if hints}
        assert self.book.counts == held
        assert self.book.total == sum(held.values())
        assert self.book.since_ms == {partition: self.began[partition] for partition in held}

    @invariant()
    def alone_agrees(self) -> None:
        """Which keys no home is known to hold."""
        for partition in range(3):
            hints = self.hints.get(partition, {})
            alone = {key for key, hint in hints.items() if hint.alone}
            assert set(self.book.alone(partition)) == alone

    @invariant()
    def keeper_holds_everything(self) -> None:
        """What COUNT rests on."""
        assert set(self.book.keepers()) == {part for part, hints in self.hints.items() if hints}
        for partition, keeper in self.book.keepers().items():
            if keeper:
                for hint in self.hints[partition].values():
                    assert hint.held.get(keeper, Dot(0, 0)) >= hint.newest


def test_books_agree_with_the_model() -> None:
    """Whatever happens, counts, ages and lonely keys are exact, and a named keeper holds all."""
    steady = settings(deadline=None, max_examples=60, stateful_step_count=25)
    run_state_machine_as_test(HintBookMachine, settings=steady)


def test_home_that_took_everything_is_the_keeper() -> None:
    """A home is named as keeper once it holds each hint of the partition in its newest state."""
    book = HintBook()
    book.accepted(7, b"k", Dot(1, 1), True, 5)
    book.accepted(7, b"l", Dot(2, 1), True, 4)
    assert book.keeper(7) == ""
    book.kept(7, b"k", "home", Dot(1, 1))
    assert (book.keeper(7), book.alone(7)) == ("", [b"l"])
    book.kept(7, b"l", "home", Dot(1, 9))
    assert book.keeper(7) == ""
    book.kept(7, b"l", "home", Dot(2, 1))
    assert book.keepers() == {7: "home"}
    assert book.since_ms == {7: 4}


def test_changed_hint_is_alone_again() -> None:
    """A hint that changes after a home took it is held here alone until it is taken again."""
    book = HintBook()
    book.accepted(7, b"k", Dot(1, 1), True, 5)
    book.kept(7, b"k", "home", Dot(1, 1))
    book.accepted(7, b"k", Dot(3, 1), False, 6)
    book.kept(7, b"k", "home", Dot(2, 1))
    assert (book.keeper(7), book.alone(7), book.total) == ("", [b"k"], 1)


def test_drained_partition_is_forgotten() -> None:
    """When its last hint is let go of, nothing is left of a partition, keeper included."""
    book = HintBook()
    book.accepted(7, b"k", Dot(1, 1), True, 5)
    book.kept(7, b"k", "home", Dot(1, 1))
    book.dropped(7, b"k")
    assert repr(book) == "<HintBook 0 hints in 0 partitions, 0 alone>"
    book.accepted(7, b"k", Dot(2, 1), True, 9)
    book.kept(7, b"k", "partner", Dot(2, 1))
    assert (book.keepers(), book.since_ms) == ({7: "partner"}, {7: 9})
