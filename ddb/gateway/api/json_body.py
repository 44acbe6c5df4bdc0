"""Documents: the JSON objects that clients send, taken strictly.

What one reader takes one way and another reader another way is refused: duplicate keys, NaN,
numbers beyond any type, text that is no Unicode, anything after the object.
"""

import json

import msgspec

from ddb.gateway.api.errors import invalid

Document = dict[str, object]

MAX_BODY_BYTES = 64 * 1024
"""Bytes of a request's body."""

_MAX_SHOWN_CHARACTERS = 60

_decode = msgspec.json.Decoder(dict[str, object]).decode


def parse(body: bytes) -> Document:
    """The object that `body` is. Raises `Refused` (400)."""
    if not body:
        raise invalid("", "the body is empty; a JSON object is needed")
    try:
        document = _decode(body)
    except msgspec.ValidationError as error:
        raise invalid("", _not_an_object(str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid("", f"the body is not valid JSON: {error}") from None
    except RecursionError:
        raise invalid("", "the body is nested too deeply") from None
    # In a flat object without escapes the quotes tell whether a key was there twice.
    quotes = 2 * len(document) + 2 * sum(type(value) is str for value in document.values())
    if b"\\" in body or body.count(b'"') != quotes:
        _refuse_duplicates(body)
    return document


def short(text: str) -> str:
    """What a client sent, as an answer may repeat it."""
    return text if len(text) <= _MAX_SHOWN_CHARACTERS else f"{text[:_MAX_SHOWN_CHARACTERS]}..."


def _not_an_object(error: str) -> str:
    if error.startswith("Expected `object`"):
        return "the body must be a JSON object"
    return f"the body holds a number that no field can take: {error}"


def _refuse_duplicates(body: bytes) -> None:
    try:
        json.loads(body, object_pairs_hook=_pairs)
    except (ValueError, RecursionError) as error:
        raise invalid("", f"the body is not valid JSON: {error}") from None


def _pairs(pairs: list[tuple[str, object]]) -> Document:
    found: Document = {}
    for key, value in pairs:
        if key in found:
            raise invalid(short(key), "this field is given twice")
        found[key] = value
    return found
