"""The HTTP contract of ddb, the echo and the FastAPI peer."""

from dataclasses import dataclass
from urllib.parse import quote

import msgspec

from bench.plan import PLAIN_DIGITS, Call
from bench.users import User
from bench.workload import PAGE

USERS = b"/api/users/"


@dataclass(frozen=True, slots=True)
class UsersApiDialect:
    """JSON requests below `/api/users/`."""

    digits: tuple[bytes, ...] = PLAIN_DIGITS

    def get(self, id: str) -> Call:
        """See `Dialect.get`."""
        return Call("GET", USERS + id.encode())

    def put(self, user: User, field: str) -> Call:
        """See `Dialect.put`."""
        body = msgspec.json.encode({field: getattr(user, field)})
        return Call("PUT", USERS + user.id.encode(), body)

    def post(self, user: User) -> Call:
        """See `Dialect.post`."""
        return Call("POST", USERS, user.body())

    def delete(self, id: str) -> Call:
        """See `Dialect.delete`."""
        return Call("DELETE", USERS + id.encode())

    def page(self, place: str) -> Call:
        """See `Dialect.page`. A place is a value of the parameter `after`."""
        return Call("GET", b"%s?limit=%d&after=%s" % (USERS, PAGE, quote(place).encode()))

    def count(self) -> Call:
        """See `Dialect.count`."""
        return Call("GET", USERS + b"count")

    def user(self, answer: bytes) -> User:
        """See `Dialect.user`."""
        return msgspec.json.decode(answer, type=User)
