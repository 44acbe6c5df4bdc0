"""Hypothesis strategies for messages."""

import types
from enum import Enum
from typing import Any, Union, get_args, get_origin

import msgspec
from hypothesis import strategies as st

from ddb.record.version import Dot
from ddb.wire.messages import Message

_PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    bytes: st.binary(max_size=40),
    int: st.integers(0, 2**64 - 1),
    bool: st.booleans(),
    str: st.text(max_size=20),
    type(None): st.none(),
    Dot: st.builds(Dot, st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1)),
}


def _values(kind: Any) -> st.SearchStrategy[Any]:
    if kind in _PLAIN:
        return _PLAIN[kind]
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return st.one_of(*map(_values, parts))
    if origin is tuple and parts[-1] is Ellipsis:
        return st.lists(_values(parts[0]), max_size=4).map(tuple)
    if origin is tuple:
        return st.tuples(*map(_values, parts))
    if origin is list:
        return st.lists(_values(parts[0]), max_size=4)
    if origin is dict:
        return st.dictionaries(_values(parts[0]), _values(parts[1]), max_size=4)
    if issubclass(kind, msgspec.Struct):
        return st.builds(kind, *(_values(field.type) for field in msgspec.structs.fields(kind)))
    assert issubclass(kind, Enum)
    return st.sampled_from(kind)


def messages(*kinds: type[Message]) -> st.SearchStrategy[Any]:
    """Return a strategy for messages of these classes, with any values."""
    return st.one_of(
        *(
            st.builds(kind, *(_values(field.type) for field in msgspec.structs.fields(kind)))
            for kind in kinds
        )
    )
