"""What is measured: the operations, and how each system is asked for them."""

import random
from collections.abc import Sequence
from enum import Enum
from typing import Protocol

from bench.keys import Keys, draws
from bench.plan import MARK, Call, End, Plan
from bench.users import User

PLANNED = 40_000
"""Different requests of one plan; enough that no cache holds them for being few."""
PAGE = 100
FRESH = f"u-{MARK.decode()}"
"""The id of a user that a plan makes or deletes; the mark stands for its serial number."""
WRITES = 0.05


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
        """Whether it is about loaded records, chosen by some distribution."""
        return self in (Operation.GET, Operation.PUT, Operation.MIX)


class Dialect(Protocol):
    """How one system is asked over HTTP."""

    @property
    def digits(self) -> tuple[bytes, ...]:
        """As `Plan.digits`."""
        ...

    def get(self, id: str) -> Call:
        """Read one user."""
        ...

    def put(self, user: User, field: str) -> Call:
        """Set one field of a user, to what it is in `user`."""
        ...

    def post(self, user: User) -> Call:
        """Make a user; the call must not succeed where the id exists."""
        ...

    def delete(self, id: str) -> Call:
        """Delete one user."""
        ...

    def page(self, place: str) -> Call:
        """List PAGE users from `place` on."""
        ...

    def count(self) -> Call:
        """Count all users."""
        ...

    def user(self, answer: bytes) -> User:
        """The user in the answer to a `get`."""
        ...


def plan(
    dialect: Dialect,
    operation: Operation,
    keys: Keys,
    users: Sequence[User],
    places: Sequence[str],
    seed: int,
) -> Plan:
    """A plan over loaded users. For POST see `create`, for DELETE `remove`."""
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
    """Make new users, like the models but with serial numbers from `first` on for ids."""
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


def remove(dialect: Dialect, known: User, first: int, count: int) -> Plan:
    """Delete `count` of the users that `create` made from `first` on."""
    return Plan(
        (dialect.delete(FRESH),),
        End.STOP,
        count,
        first_serial=first,
        digits=dialect.digits,
        filler=dialect.get(known.id),
    )


def load(dialect: Dialect, users: Sequence[User]) -> Plan:
    """Make every one of the users, once."""
    calls = tuple(dialect.post(user) for user in users)
    return Plan(calls, End.FILL, len(calls), digits=dialect.digits)


def rewrite(dialect: Dialect, users: Sequence[User], seed: int) -> Plan:
    """Set one field of every one of the users, once."""
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
