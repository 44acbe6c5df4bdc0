"""The JSON objects that clients send, parsed strictly.

The parser refuses input that two JSON libraries read differently. That is: duplicate keys, NaN,
numbers beyond 64 bits, invalid Unicode, bytes after the object.
"""

import json
import re

import msgspec

from ddb.gateway.api.errors import Refused, invalid
from ddb.gateway.api.excerpt import short

Document = dict[str, object]

MAX_BODY_BYTES = 64 * 1024
"""Bytes of a request body. Too low: large records fail. Too high: each upload takes more memory."""

_ESCAPE = ord("\\")
"""An integer, because `in` finds an integer in bytes in 0.1 us and a byte string in 0.4 us."""

_decode = msgspec.json.Decoder(dict[str, object]).decode

_FORM = re.compile(
    rb"[\w.~*%+\x80-\xff-][\w.~*%+\x80-\xff\[\]-]*=|%7b|--[^\r\n]+\r?\nContent-", re.IGNORECASE
)
"""The beginning of a form: a name before an equals sign, an encoded brace, or a boundary.

The Content-Type does not decide, because `curl -d` sends JSON with that of a form.
"""

_KINDS = {b"[": "an array", b'"': "a text", b"t": "a boolean", b"f": "a boolean", b"n": "null"}
"""The JSON values other than objects and numbers, by their first byte."""


def parse(body: bytes) -> Document:
    """Parse a body into a JSON object. Raises `Refused` (400)."""
    if not body:
        raise invalid("", "the body is empty; it takes a JSON object")
    try:
        document = _decode(body)
    except msgspec.ValidationError as error:
        raise _not_an_object(body, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _malformed(body, str(error)) from None
    except RecursionError:
        raise invalid("", "the body is nested too deeply") from None
    # In a flat object without escapes, a surplus of quotes shows a duplicate key.
    texts = len(document) + list(map(type, document.values())).count(str)
    if _ESCAPE in body or body.count(b'"') != 2 * texts:
        _refuse_duplicates(body)
    return document


def _not_an_object(body: bytes, error: str) -> Refused:
    """Explain a body that is JSON of another type, or that has a number of too many digits."""
    if not error.startswith("Expected `object`"):
        return invalid("", f"the body has a number that no field takes: {error}")
    if _FORM.match(body):
        # A name that begins like a JSON value, as in `1=2`.
        return _form()
    kind = _KINDS.get(body.lstrip()[:1], "a number")
    return invalid("", f"the body must be a JSON object; it got {kind}")


def _malformed(body: bytes, error: str) -> Refused:
    if _FORM.match(body):
        return _form()
    return invalid("", f"the body is not valid JSON: {error}")


def _form() -> Refused:
    return invalid(
        "", 'JSON is needed, and this body looks like a form; send an object like {"name":"Ada"}'
    )


def _refuse_duplicates(body: bytes) -> None:
    try:
        json.loads(body, object_pairs_hook=_pairs)
    except (ValueError, RecursionError) as error:
        raise invalid("", f"the body is not valid JSON: {error}") from None


def _pairs(pairs: list[tuple[str, object]]) -> Document:
    found: Document = {}
    for key, value in pairs:
        if key in found:
            raise invalid(short(key), "this field is given twice; a field takes one value")
        found[key] = value
    return found
