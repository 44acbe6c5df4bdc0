"""The path of the users, the normal form of paths, and the id in a request's target."""

from urllib.parse import unquote

USERS = "/api/users"
COUNT = "count"
"""The one name below `USERS` that is not an id."""
COLLECTIONS = (USERS,)
"""The paths of all collections; the error for an unknown path names them."""

_USERS = USERS.encode()
_QUERY, _FRAGMENT = b"?#"
"""Integers, because `in` finds an integer in bytes in 0.1 us and a byte string in 0.4 us."""

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


def id_in(target: bytes) -> str | None:
    """Return the id in a request's target; empty: all users. None: any other target."""
    if not target.startswith(_USERS) or _QUERY in target or _FRAGMENT in target:
        return None
    path = normal(target.decode("ascii"))
    if path == USERS:
        return ""
    slash, name = path[len(USERS)], path[len(USERS) + 1 :]
    return name if slash == "/" and name not in ("", COUNT) and "/" not in name else None
