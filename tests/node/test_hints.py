"""The hint index, compared with a model that stores everything."""

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
HOMES = st.sampled_from(["home", "other"])


@dataclass(slots=True)
class Hint:
    """One hint: its newest dot, and the newest dot that each home has confirmed."""

    newest: Dot
    confirmed: dict[str, Dot] = field(default_factory=dict)


class HintIndexMachine(RuleBasedStateMachine):
    """Hints begin, change, reach homes and are dropped, in any order, during passes too."""

    def __init__(self) -> None:
        super().__init__()
        self.index = HintIndex()
        self.hints: dict[int, dict[bytes, Hint]] = {}
        self.began: dict[int, int] = {}
        self.clock = 0

    def tick(self) -> Dot:
        """Return a newer dot."""
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
        self.index.accepted(partition, key, dot, new, dot.counter)
        hints[key] = Hint(dot, {} if new else hints[key].confirmed)

    @rule(
        partition=PARTITIONS,
        key=KEYS,
        marks=st.dictionaries(HOMES, st.integers(0, 3), min_size=1),
        late=st.integers(0, 1),
    )
    def keep(self, partition: int, key: bytes, marks: dict[str, int], late: int) -> None:
        """Homes confirm a key up to a dot; the hint may have changed since the offer."""
        hint = self.hints.get(partition, {}).get(key)
        if hint is not None:
            dots = {
                home: Dot(max(1, hint.newest.counter - behind), 1) for home, behind in marks.items()
            }
            for home, dot in dots.items():
                hint.confirmed[home] = max(dot, hint.confirmed.get(home, dot))
            self.index.kept(partition, key, Dot(hint.newest.counter - late, 1), dots)

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
        """The standby offers every hint; one changes meanwhile, and the other home may store it."""
        self.index.begin_pass(partition, home)
        for (key, hint), taken in zip(
            list(self.hints.get(partition, {}).items()), takes, strict=False
        ):
            if taken:
                hint.confirmed[home] = hint.newest
            marks = {home: hint.confirmed.get(home, Dot(0, 0))}
            self.index.kept(partition, key, hint.newest, marks)
            if key == changed:
                self.accept(partition, key)
                if other:
                    mate = "other" if home == "home" else "home"
                    newest = self.hints[partition][key].newest
                    self.hints[partition][key].confirmed[mate] = newest
                    self.index.kept(partition, key, newest, {mate: newest})
        if ends:
            self.index.end_pass(partition, home)

    @rule(partition=PARTITIONS, key=KEYS)
    def drop(self, partition: int, key: bytes) -> None:
        """The standby drops a hint."""
        if self.hints.get(partition, {}).pop(key, None):
            self.index.dropped(partition, key)

    @invariant()
    def counts_agree(self) -> None:
        """The number and the age of the hints are exact."""
        counts = {partition: len(hints) for partition, hints in self.hints.items() if hints}
        assert self.index.counts == counts
        assert self.index.total == sum(counts.values())
        assert self.index.since_ms == {partition: self.began[partition] for partition in counts}

    @invariant()
    def keepers_have_everything(self) -> None:
        """Each keeper has every hint in its newest state: COUNT relies on that."""
        assert set(self.index.keepers()) == {part for part, hints in self.hints.items() if hints}
        for partition, keepers in self.index.keepers().items():
            for keeper in keepers:
                for hint in self.hints[partition].values():
                    assert hint.confirmed.get(keeper, Dot(0, 0)) >= hint.newest

    @invariant()
    def hints_that_are_not_alone_are_confirmed(self) -> None:
        """A home that has not missed a partition has each of its hints that is not alone."""
        for partition, hints in self.hints.items():
            alone = set(self.index.alone(partition))
            assert alone <= set(hints)
            for home in ("home", "other"):
                if not self.index.missed(partition, home):
                    for key in set(hints) - alone:
                        assert hints[key].confirmed.get(home, Dot(0, 0)) >= hints[key].newest


def test_the_index_agrees_with_the_model() -> None:
    """In any order of events counts and ages are exact, and each keeper has all hints."""
    steady = settings(deadline=None, max_examples=100, stateful_step_count=25)
    run_state_machine_as_test(HintIndexMachine, settings=steady)


def test_home_that_stores_everything_is_the_keeper() -> None:
    """A home is a keeper once it has each hint of the partition in its newest state."""
    index = HintIndex()
    index.accepted(7, b"k", Dot(1, 1), True, 5)
    index.accepted(7, b"l", Dot(2, 1), True, 4)
    assert index.keepers() == {7: ()}
    index.kept(7, b"k", Dot(1, 1), {"home": Dot(1, 1)})
    assert (index.keepers(), index.alone(7)) == ({7: ()}, [b"l"])
    index.kept(7, b"l", Dot(2, 1), {"home": Dot(1, 9)})
    assert index.keepers() == {7: ()}
    index.kept(7, b"l", Dot(2, 1), {"home": Dot(2, 1)})
    assert index.keepers() == {7: ("home",)}
    assert index.since_ms == {7: 4}


def test_changed_hint_is_alone_again() -> None:
    """A hint that changes after a home stored it is alone until the home stores it again."""
    index = HintIndex()
    index.accepted(7, b"k", Dot(1, 1), True, 5)
    index.kept(7, b"k", Dot(1, 1), {"home": Dot(1, 1)})
    index.accepted(7, b"k", Dot(3, 1), False, 6)
    index.kept(7, b"k", Dot(1, 1), {"home": Dot(2, 1)})
    assert (index.keepers(), index.alone(7), index.total) == ({7: ()}, [b"k"], 1)


def test_home_that_returns_becomes_a_keeper_by_one_pass() -> None:
    """A home that returns is a keeper, too, once it has stored every hint that it missed."""
    index = HintIndex()
    for number, key in enumerate((b"k", b"l"), 1):
        index.accepted(7, key, Dot(number, 1), True, 5)
        index.kept(7, key, Dot(number, 1), {"home": Dot(number, 1)})
    assert (index.missed(7, "home"), index.missed(7, "other")) == (False, True)
    index.begin_pass(7, "other")
    index.kept(7, b"k", Dot(1, 1), {"other": Dot(1, 1)})
    assert index.keepers() == {7: ("home",)}
    index.kept(7, b"l", Dot(2, 1), {"other": Dot(2, 1)})
    index.end_pass(7, "other")
    assert index.keepers() == {7: ("home", "other")}


def test_pass_with_a_refusal_makes_no_keeper() -> None:
    """A home that refuses one of the hints is not a keeper after the pass."""
    index = HintIndex()
    index.accepted(7, b"k", Dot(2, 1), True, 5)
    index.kept(7, b"k", Dot(2, 1), {"home": Dot(2, 1)})
    index.begin_pass(7, "other")
    index.kept(7, b"k", Dot(2, 1), {"other": Dot(1, 1)})
    index.end_pass(7, "other")
    assert index.keepers() == {7: ("home",)}


def test_drained_partition_is_forgotten() -> None:
    """After the drop of its last hint a partition has no entry, and no keeper."""
    index = HintIndex()
    index.accepted(7, b"k", Dot(1, 1), True, 5)
    index.kept(7, b"k", Dot(1, 1), {"home": Dot(1, 1)})
    index.dropped(7, b"k")
    assert repr(index) == "<HintIndex 0 hints in 0 partitions, 0 alone>"
    index.accepted(7, b"k", Dot(2, 1), True, 9)
    index.kept(7, b"k", Dot(2, 1), {"other": Dot(2, 1)})
    assert (index.keepers(), index.since_ms) == ({7: ("other",)}, {7: 9})
