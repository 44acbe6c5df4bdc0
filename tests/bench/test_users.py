import statistics
import zlib

import msgspec

from bench.users import Generator, User
from ddb.gateway.api.schema import load


def test_same_seed_same_users() -> None:
    """Equal seeds give equal users, and different seeds different ones."""
    assert Generator(7).take(500) == Generator(7).take(500)
    assert Generator(7).take(500) != Generator(8).take(500)


def test_no_id_occurs_twice() -> None:
    """No two users have the same id."""
    users = Generator().take(30_000)
    assert len({user.id for user in users}) == len(users)


def test_users_are_valid() -> None:
    """Every user passes ddb's schema."""
    schema = load("user")
    for user in Generator().take(3_000):
        schema.whole(msgspec.json.decode(user.body(), type=dict[str, object]))


def test_users_are_uneven() -> None:
    """Names, addresses and ids have many lengths, and most names occur once."""
    users = Generator().take(5_000)
    for field in ("id", "name", "email"):
        lengths = [len(getattr(user, field)) for user in users]
        assert len(set(lengths)) >= 20, field
        assert statistics.pstdev(lengths) > 3, field
    assert len({user.name for user in users}) > 0.8 * len(users)


def test_users_compress_like_people() -> None:
    """General compression leaves 30 to 60 percent of the bytes."""
    text = b"".join(user.body() for user in Generator().take(5_000))
    assert 0.3 < len(zlib.compress(text, 6)) / len(text) < 0.6


def test_body_is_the_whole_user() -> None:
    """A body has all fields of the user as compact JSON."""
    body = User("ada", "Ada Łovelace", "ada@example.com", 1).body()
    assert body.decode() == (
        '{"id":"ada","name":"Ada Łovelace","email":"ada@example.com","group":1}'
    )
