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

from ddb.node.replica.hint_index import HintIndex
from ddb.record.version import Dot

PARTITIONS = st.integers(0, 2)
KEYS = st.sampled_from([b"k", b"l", b"m"])
HOMES = st.sampled_from(["home", "partner"])


@dataclass(slots=True)
class Hint:
    """One hint: its newest dot, and up to where each home is known to hold it."""

    newest: Dot
    held: dict[str, Dot] = field(default_factory=dict)


class HintBookMachine(RuleBasedStateMachine):
    """Hints begin, change, are kept by homes and let go of, in any order; passes come and go."""

    def __init__(self) -> None:
        super().__init__()
        self.book = HintIndex()
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

    @rule(
        partition=PARTITIONS,
        key=KEYS,
        held=st.dictionaries(HOMES, st.integers(0, 3), min_size=1),
        late=st.integers(0, 1),
    )
    def keep(self, partition: int, key: bytes, held: dict[str, int], late: int) -> None:
        """Homes say how far they hold a key, which may have changed since it was offered."""
        hint = self.hints.get(partition, {}).get(key)
        if hint is not None:
            said = {
                home: Dot(max(1, hint.newest.counter - behind), 1) for home, behind in held.items()
            }
            for home, dot in said.items():
                hint.held[home] = max(dot, hint.held.get(home, dot))
            self.book.kept(partition, key, Dot(hint.newest.counter - late, 1), said)

    @rule(
        partition=PARTITIONS,
        home=HOMES,
        takes=st.lists(st.booleans(), min_size=3, max_size=3),
        changed=KEYS | st.none(),
        other=st.booleans(),
        ends=st.booleans(),
    )
    def offer_all(
        self,
        partition: int,
        home: str,
        takes: list[bool],
        changed: bytes | None,
        other: bool,
        ends: bool,
    ) -> None:
        """A home is offered every hint; one changes meanwhile, and another home may take that."""
        self.book.begin_pass(partition, home)
        for (key, hint), taken in zip(
            list(self.hints.get(partition, {}).items()), takes, strict=False
        ):
            if taken:
                hint.held[home] = hint.newest
            said = {home: hint.held.get(home, Dot(0, 0))}
            self.book.kept(partition, key, hint.newest, said)
            if key == changed:
                self.accept(partition, key)
                if other:
                    mate = "partner" if home == "home" else "home"
                    newest = self.hints[partition][key].newest
                    self.hints[partition][key].held[mate] = newest
                    self.book.kept(partition, key, newest, {mate: newest})
        if ends:
            self.book.end_pass(partition, home)

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
    def keepers_hold_everything(self) -> None:
        """What COUNT rests on."""
        assert set(self.book.keepers()) == {part for part, hints in self.hints.items() if hints}
        for partition, keepers in self.book.keepers().items():
            for keeper in keepers:
                for hint in self.hints[partition].values():
                    assert hint.held.get(keeper, Dot(0, 0)) >= hint.newest

    @invariant()
    def others_than_the_lonely_are_held(self) -> None:
        """Whoever has not missed a partition holds each of its hints that is not alone."""
        for partition, hints in self.hints.items():
            alone = set(self.book.alone(partition))
            assert alone <= set(hints)
            for home in ("home", "partner"):
                if not self.book.missed(partition, home):
                    for key in set(hints) - alone:
                        assert hints[key].held.get(home, Dot(0, 0)) >= hints[key].newest


def test_books_agree_with_the_model() -> None:
    """Whatever happens, counts and ages are exact, and each named keeper holds all."""
    steady = settings(deadline=None, max_examples=100, stateful_step_count=25)
    run_state_machine_as_test(HintBookMachine, settings=steady)


def test_home_that_took_everything_is_the_keeper() -> None:
    """A home is named as keeper once it holds each hint of the partition in its newest state."""
    book = HintIndex()
    book.accepted(7, b"k", Dot(1, 1), True, 5)
    book.accepted(7, b"l", Dot(2, 1), True, 4)
    assert book.keepers() == {7: ()}
    book.kept(7, b"k", Dot(1, 1), {"home": Dot(1, 1)})
    assert (book.keepers(), book.alone(7)) == ({7: ()}, [b"l"])
    book.kept(7, b"l", Dot(2, 1), {"home": Dot(1, 9)})
    assert book.keepers() == {7: ()}
    book.kept(7, b"l", Dot(2, 1), {"home": Dot(2, 1)})
    assert book.keepers() == {7: ("home",)}
    assert book.since_ms == {7: 4}


def test_changed_hint_is_alone_again() -> None:
    """A hint that changes after a home took it is held here alone until it is taken again."""
    book = HintIndex()
    book.accepted(7, b"k", Dot(1, 1), True, 5)
    book.kept(7, b"k", Dot(1, 1), {"home": Dot(1, 1)})
    book.accepted(7, b"k", Dot(3, 1), False, 6)
    book.kept(7, b"k", Dot(1, 1), {"home": Dot(2, 1)})
    assert (book.keepers(), book.alone(7), book.total) == ({7: ()}, [b"k"], 1)


def test_home_that_was_away_becomes_a_keeper_by_one_pass() -> None:
    """A home that returns is a keeper, too, once it has taken every hint that it missed."""
    book = HintIndex()
    for number, key in enumerate((b"k", b"l"), 1):
        book.accepted(7, key, Dot(number, 1), True, 5)
        book.kept(7, key, Dot(number, 1), {"home": Dot(number, 1)})
    assert (book.missed(7, "home"), book.missed(7, "partner")) == (False, True)
    book.begin_pass(7, "partner")
    book.kept(7, b"k", Dot(1, 1), {"partner": Dot(1, 1)})
    assert book.keepers() == {7: ("home",)}
    book.kept(7, b"l", Dot(2, 1), {"partner": Dot(2, 1)})
    book.end_pass(7, "partner")
    assert book.keepers() == {7: ("home", "partner")}


def test_pass_with_a_refusal_makes_no_keeper() -> None:
    """A home that did not take one of the hints offered to it holds not everything."""
    book = HintIndex()
    book.accepted(7, b"k", Dot(2, 1), True, 5)
    book.kept(7, b"k", Dot(2, 1), {"home": Dot(2, 1)})
    book.begin_pass(7, "partner")
    book.kept(7, b"k", Dot(2, 1), {"partner": Dot(1, 1)})
    book.end_pass(7, "partner")
    assert book.keepers() == {7: ("home",)}


def test_drained_partition_is_forgotten() -> None:
    """When its last hint is let go of, nothing is left of a partition, keeper included."""
    book = HintIndex()
    book.accepted(7, b"k", Dot(1, 1), True, 5)
    book.kept(7, b"k", Dot(1, 1), {"home": Dot(1, 1)})
    book.dropped(7, b"k")
    assert repr(book) == "<HintIndex 0 hints in 0 partitions, 0 alone>"
    book.accepted(7, b"k", Dot(2, 1), True, 9)
    book.kept(7, b"k", Dot(2, 1), {"partner": Dot(2, 1)})
    assert (book.keepers(), book.since_ms) == ({7: ("partner",)}, {7: 9})
