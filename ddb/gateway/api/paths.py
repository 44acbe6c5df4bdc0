"""The path of the users, and the normal form of paths."""

from urllib.parse import unquote

USERS = "/api/users"
COUNT = "count"
"""The one name below `USERS` that is not an id."""

_SEPARATES_NOTHING = str.maketrans("/\n", "\N{REPLACEMENT CHARACTER}" * 2)
"""Replaces a decoded slash, which separates no segments, and a decoded line feed, which `$` in a
pattern accepts at the end."""


def normal(sent: str) -> str:
    """Decode a raw path once, segment by segment, and drop one slash at its end."""
    path = sent
    if "%" in sent:
        path = "/".join(
            unquote(part, errors="replace").translate(_SEPARATES_NOTHING)
            for part in sent.split("/")
        )
    return path.removesuffix("/")
