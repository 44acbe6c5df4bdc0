"""The operations, and the plans that perform them."""

import random
from collections.abc import Sequence
from enum import Enum
from typing import Protocol

from bench.keys import Keys, draws
from bench.plan import MARK, Call, End, Plan
from bench.users import User

PLANNED = 40_000
"""Different requests of one plan. Fewer: the records fit into caches of the system."""
PAGE = 100
"""Users of one page of LIST."""
FRESH = f"u-{MARK.decode()}"
"""The id of a user that a plan creates or deletes; the mark becomes its serial number."""
WRITES = 0.05
"""The share of PUT in the mixed load."""


class Operation(Enum):
    """One kind of load."""

    GET = "get"
    PUT = "put"
    POST = "post"
    DELETE = "delete"
    MIX = "mix"
    """95 % GET, 5 % PUT."""
    LIST = "list"
    COUNT = "count"

    @property
    def keyed(self) -> bool:
        """Return True if a distribution of keys chooses the records."""
        return self in (Operation.GET, Operation.PUT, Operation.MIX)


class Dialect(Protocol):
    """The HTTP requests that one system understands."""

    @property
    def digits(self) -> tuple[bytes, ...]:
        """See `Plan.digits`."""
        ...

    def get(self, id: str) -> Call:
        """Read one user."""
        ...

    def put(self, user: User, field: str) -> Call:
        """Set `field` of a user to its value in `user`."""
        ...

    def post(self, user: User) -> Call:
        """Create a user. The call must fail if the id exists."""
        ...

    def delete(self, id: str) -> Call:
        """Delete one user."""
        ...

    def page(self, place: str) -> Call:
        """List `PAGE` users from `place` on, which comes from `Target.places`."""
        ...

    def count(self) -> Call:
        """Count all users."""
        ...

    def user(self, answer: bytes) -> User:
        """Parse the user in the answer to a `get`."""
        ...


def plan(
    dialect: Dialect,
    operation: Operation,
    keys: Keys,
    users: Sequence[User],
    places: Sequence[str],
    seed: int,
) -> Plan:
    """Return a plan over loaded users. For POST see `create`, for DELETE see `remove`.

    Args:
        dialect: The requests of the system.
        operation: The operation; neither POST nor DELETE.
        keys: The distribution of the records.
        users: The users that the system stores.
        places: The starts of pages, for LIST only.
        seed: Equal arguments give equal plans.
    """
    rng = random.Random(seed)
    chosen = [users[number] for number in draws(keys, len(users), PLANNED, seed)]
    match operation:
        case Operation.GET:
            calls = [dialect.get(user.id) for user in chosen]
        case Operation.PUT:
            calls = [_put(dialect, user, rng) for user in chosen]
        case Operation.MIX:
            calls = [
                _put(dialect, user, rng) if rng.random() < WRITES else dialect.get(user.id)
                for user in chosen
            ]
        case Operation.LIST:
            calls = [dialect.page(rng.choice(places)) for _ in range(PLANNED // 10)]
        case Operation.COUNT:
            calls = [dialect.count()]
        case _:
            raise ValueError(operation)
    return Plan(tuple(calls), digits=dialect.digits)


def create(dialect: Dialect, models: Sequence[User], first: int, seed: int) -> Plan:
    """Return a plan that creates users.

    Args:
        dialect: The requests of the system.
        models: Users whose fields the new users get.
        first: The serial number in the id of the first new user.
        seed: Equal arguments give equal plans.
    """
    calls = [
        dialect.post(User(FRESH, model.name, model.email, model.group))
        for model in random.Random(seed).sample(models, min(len(models), PLANNED // 2))
    ]
    return Plan(
        tuple(calls),
        first_serial=first,
        digits=dialect.digits,
        filler=dialect.get(models[0].id),
    )


def remove(dialect: Dialect, loaded: User, first: int, count: int) -> Plan:
    """Return a plan that deletes users of `create`.

    Args:
        dialect: The requests of the system.
        loaded: A user that stays; the filler reads it.
        first: The serial number of the first user to delete.
        count: The number of users to delete.
    """
    return Plan(
        (dialect.delete(FRESH),),
        End.STOP,
        count,
        first_serial=first,
        digits=dialect.digits,
        filler=dialect.get(loaded.id),
    )


def load(dialect: Dialect, users: Sequence[User]) -> Plan:
    """Return a plan that creates each user once."""
    calls = tuple(dialect.post(user) for user in users)
    return Plan(calls, End.FILL, len(calls), digits=dialect.digits)


def rewrite(dialect: Dialect, users: Sequence[User], seed: int) -> Plan:
    """Return a plan that changes each user once."""
    rng = random.Random(seed)
    calls = tuple(_put(dialect, user, rng) for user in users)
    return Plan(calls, End.FILL, len(calls), digits=dialect.digits)


def _put(dialect: Dialect, user: User, rng: random.Random) -> Call:
    field = rng.choice(("name", "email", "group"))
    changed = User(
        user.id,
        f"{user.name} {rng.choice('ABCDEFGH')}.",
        f"{rng.randrange(1000)}{user.email}",
        rng.randrange(1, 10**6),
    )
    return dialect.put(changed, field)
