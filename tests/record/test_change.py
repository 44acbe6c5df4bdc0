"""Changes: pure functions from one body to the next."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from ddb.record.change import (
    ANY,
    Change,
    Effect,
    Kind,
    Outcome,
    evaluate,
    merge,
    outcome_of,
    tag_of,
)

steady = settings(deadline=None)
names = st.sampled_from(["id", "name", "email", "group", "ключ", 'a"b'])
values = st.text(max_size=8) | st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.none()
records = st.dictionaries(names, values)
bases = st.none() | records.map(lambda fields: json.dumps(fields).encode())


def body(fields: dict[str, object]) -> bytes:
    return json.dumps(fields).encode()


@steady
@given(records, records)
def test_merge_replaces_only_the_given_fields(
    base: dict[str, object], fields: dict[str, object]
) -> None:
    """A merge replaces the given fields, keeps the base's order and appends new fields."""
    merged = json.loads(merge(body(base), body(fields)))
    assert merged == {**base, **fields}
    assert list(merged) == list({**base, **fields})


@steady
@given(records, records, records)
def test_merges_of_different_fields_commute(
    base: dict[str, object], first: dict[str, object], second: dict[str, object]
) -> None:
    """Updates of different fields give the same record in either order, and when repeated."""
    second = {name: value for name, value in second.items() if name not in first}
    one = merge(merge(body(base), body(first)), body(second))
    other = merge(merge(body(base), body(second)), body(first))
    assert json.loads(one) == json.loads(other)
    assert merge(one, body(second)) == one


@steady
@given(st.sampled_from(Kind), bases, records, st.sampled_from([(), (ANY,), (b"other",)]))
def test_predicted_outcome_is_that_of_the_effect(
    kind: Kind, base: bytes | None, fields: dict[str, object], match: tuple[bytes, ...]
) -> None:
    """The predicted outcome equals that of the evaluation, and a refusal keeps the base."""
    change = Change(kind, body(fields), match)
    effect = evaluate(change, base)
    assert effect.outcome is outcome_of(change, base)
    if effect.outcome is not Outcome.DONE:
        assert effect.body == base


def test_every_kind_with_and_without_a_record() -> None:
    """CREATE needs an absent record, UPDATE and DELETE a present one, and NOTHING neither."""
    old, new = b'{"a":1,"b":1}', b'{"b":2}'
    expected = {
        Kind.CREATE: (Effect(Outcome.DONE, new), Effect(Outcome.EXISTS, old)),
        Kind.UPDATE: (Effect(Outcome.ABSENT, None), Effect(Outcome.DONE, b'{"a":1,"b":2}')),
        Kind.DELETE: (Effect(Outcome.ABSENT, None), Effect(Outcome.DONE, None)),
        Kind.NOTHING: (Effect(Outcome.DONE, None), Effect(Outcome.DONE, old)),
    }
    for kind in Kind:
        change = Change(kind, new)
        assert (evaluate(change, None), evaluate(change, old)) == expected[kind]


def test_if_match_compares_tags() -> None:
    """A condition holds if one of its tags is the body's, or if it has `ANY`."""
    old = b'{"a":1}'
    for kind in (Kind.UPDATE, Kind.DELETE):
        for match in ((tag_of(old),), (tag_of(b"{}"), tag_of(old)), (ANY,), ()):
            assert outcome_of(Change(kind, b"{}", match), old) is Outcome.DONE
        assert outcome_of(Change(kind, b"{}", (tag_of(b"{}"),)), old) is Outcome.MISMATCH
        assert outcome_of(Change(kind, b"{}", (ANY,)), None) is Outcome.ABSENT


@steady
@given(st.binary(), st.binary())
def test_tags_distinguish_bodies(one: bytes, other: bytes) -> None:
    """Equal bodies have equal tags of eight bytes, and different bodies different tags."""
    assert (tag_of(one) == tag_of(other)) is (one == other)
    assert len(tag_of(one)) == 8
