"""The dialect of every system that answers ddb's contract: the peers are given the same one."""

from dataclasses import dataclass
from urllib.parse import quote

import msgspec

from bench.plan import PLAIN_DIGITS, Call
from bench.users import User
from bench.workload import PAGE

USERS = b"/api/users/"


@dataclass(frozen=True, slots=True)
class Rest:
    """JSON over paths."""

    digits: tuple[bytes, ...] = PLAIN_DIGITS

    def get(self, id: str) -> Call:
        """As `Dialect.get`."""
        return Call("GET", USERS + id.encode())

    def put(self, user: User, field: str) -> Call:
        """As `Dialect.put`."""
        body = msgspec.json.encode({field: getattr(user, field)})
        return Call("PUT", USERS + user.id.encode(), body)

    def post(self, user: User) -> Call:
        """As `Dialect.post`."""
        return Call("POST", USERS, user.body())

    def delete(self, id: str) -> Call:
        """As `Dialect.delete`."""
        return Call("DELETE", USERS + id.encode())

    def page(self, place: str) -> Call:
        """As `Dialect.page`; a place is what `after` takes."""
        return Call("GET", b"%s?limit=%d&after=%s" % (USERS, PAGE, quote(place).encode()))

    def count(self) -> Call:
        """As `Dialect.count`."""
        return Call("GET", USERS + b"count")

    def user(self, answer: bytes) -> User:
        """As `Dialect.user`."""
        return msgspec.json.decode(answer, type=User)
