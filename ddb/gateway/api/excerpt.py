"""Excerpts of a client's input, short enough for an error message."""

import json

_MOST_CHARACTERS = 60
"""Characters of the input. Too low: a client does not recognize its value. Too high: the message
repeats a long body, also in the client's logs."""


def short(text: str) -> str:
    """Cut a text after `_MOST_CHARACTERS`."""
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}..."


def quoted(text: str) -> str:
    """Cut a text, and write it with quotes and escapes."""
    escaped = json.dumps(text[: _MOST_CHARACTERS + 1], ensure_ascii=False)
    return f'"{short(escaped[1:-1])}"'


def described(value: object) -> str:
    """Name the type of a JSON value, and show the value or its beginning.

    Raises: `RecursionError` if the value is nested too deeply.
    """
    if value is None:
        return "null"
    if isinstance(value, str):
        if len(value) > _MOST_CHARACTERS:
            return f"text of {len(value)} characters, {quoted(value)}"
        return f"the text {quoted(value)}"
    return f"the {_kind(value)} {short(json.dumps(value, ensure_ascii=False))}"


def _kind(value: object) -> str:
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case list():
            return "array"
        case _:
            return "object"
