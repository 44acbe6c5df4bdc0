"""Strict JSON objects, compared with Python's own parser."""

import json
import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ddb.gateway.api.errors import Refused
from ddb.gateway.api.json_body import Document, parse

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(texts, values, max_size=6)
space = st.text(" \t\r\n", max_size=2)


def same(one: object, other: object) -> bool:
    """Return whether two values are equal in value, type and order."""
    return json.dumps(one) == json.dumps(other)


class Doubtful(Exception):
    """The input is not strict JSON."""


def strictly(body: bytes) -> Document:
    """Parse with Python's parser. Raises `Doubtful` or `ValueError`."""

    def pairs(found: list[tuple[str, object]]) -> Document:
        if len(dict(found)) < len(found):
            raise Doubtful("duplicate key")
        return dict(found)

    def number(text: str) -> float:
        value = float(text)
        if math.isinf(value):
            raise Doubtful("no such number")
        return value

    def constant(text: str) -> object:
        raise Doubtful(text)

    document = json.loads(
        body.decode(), object_pairs_hook=pairs, parse_constant=constant, parse_float=number
    )
    if not isinstance(document, dict):
        raise Doubtful("no object")
    # Text with lone surrogates cannot be encoded.
    json.dumps(document, ensure_ascii=False).encode()
    return document


@given(objects, st.booleans(), st.sampled_from([None, 0, 3]), space, space)
@settings(max_examples=120, deadline=None)
def test_every_object_is_taken(
    document: Document, escaped: bool, indent: int | None, before: str, after: str
) -> None:
    """An object with unique keys parses as with Python's own parser."""
    text = before + json.dumps(document, ensure_ascii=escaped, indent=indent) + after
    assert same(parse(text.encode()), json.loads(text))


@st.composite
def written(draw: st.DrawFn, text: str) -> str:
    """Draw one of the ways to write a string in JSON."""
    parts = []
    for character in text:
        units = character.encode("utf-16-be")
        if draw(st.booleans()) or not character.isalnum():
            parts += [f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2)]
        else:
            parts.append(character)
    return f'"{"".join(parts)}"'


@st.composite
def with_a_duplicate(draw: st.DrawFn) -> str:
    """Draw a JSON object with a duplicate key at some depth."""
    pairs = [(key, json.dumps(value)) for key, value in draw(objects).items()]
    twice, value = draw(texts), json.dumps(draw(values))
    pairs = [pair for pair in pairs if pair[0] != twice] + [(twice, value)]
    pairs.insert(draw(st.integers(0, len(pairs))), (twice, json.dumps(draw(values))))
    members = []
    for key, text in pairs:
        members.append(
            "".join(
                (draw(space), draw(written(key)), draw(space), ":", draw(space), text, draw(space))
            )
        )
    text = "{" + ",".join(members) + "}"
    for _ in range(draw(st.integers(0, 3))):
        text = draw(st.sampled_from(['{"a":%s}', '{"b":[1,%s]}', '{"c":"d","e":%s,"f":"g"}'])) % (
            text.replace("%", "\\u0025"),
        )
    return text


@given(with_a_duplicate())
@settings(max_examples=120, deadline=None)
@example('{"id":"a","\\u0069d":"b"}')
@example('{"":1,"":2}')
@example('{"a":"b","a":"c"}')
@example('{"a":[{"b":1,"\\u0062":1}]}')
def test_every_duplicate_is_refused(text: str) -> None:
    """A duplicate key is refused at any depth and in any spelling."""
    json.loads(text)
    with pytest.raises(Refused, match="given twice"):
        parse(text.encode())


tokens = st.sampled_from(
    [
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b'"',
        b'"a"',
        b'"b"',
        b"1",
        b"-",
        b"0",
        b".5",
        b"e9",
        b"true",
        b"null",
        b"NaN",
        b"Infinity",
        b"\\",
        b"\\u0061",
        b"\\ud83d",
        b"\\ude00",
        b" ",
        b"\xff",
        b"\xc3\xa9",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\0",
        b"\x01",
        b"/",
        b"'",
        b"\n",
    ]
)
mutants = st.builds(
    lambda body, at, put, taken: (
        body[: at % (len(body) + 1)] + put + body[at % (len(body) + 1) + taken :]
    ),
    objects.map(lambda document: json.dumps(document).encode()),
    st.integers(0, 300),
    tokens | st.binary(max_size=2),
    st.integers(0, 2),
)


@given(mutants | st.lists(tokens, max_size=12).map(b"".join) | st.binary(max_size=20))
@settings(max_examples=300, deadline=None)
@example(b'{"a":1}\0')
@example(b'{"a":1e400}')
@example(b'{"a":"\\ud83d\\ude00"}')
@example(b'{"a":"\\ud83d"}')
@example(b'{"a":-}')
def test_neither_laxer_nor_stricter_than_json(body: bytes) -> None:
    """Exactly the bytes of strict JSON objects are accepted."""
    try:
        expected = strictly(body)
    except (Doubtful, ValueError):
        with pytest.raises(Refused):
            parse(body)
    else:
        assert same(parse(body), expected)
