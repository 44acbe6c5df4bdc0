"""Paths: where the users are, and the normal form in which paths are compared."""

from urllib.parse import unquote

USERS = "/api/users"
COUNT = "count"
"""The one name below `USERS` that is no id."""

_SEPARATES_NOTHING = str.maketrans("/\n", "\N{REPLACEMENT CHARACTER}" * 2)
"""A decoded slash separates no segments; a pattern's `$` accepts a line feed at the end."""


def normal(sent: str) -> str:
    """Decode a raw path once, segment by segment, and drop one slash at its end."""
    path = sent
    if "%" in sent:
        path = "/".join(
            unquote(part, errors="replace").translate(_SEPARATES_NOTHING)
            for part in sent.split("/")
        )
    return path.removesuffix("/")
