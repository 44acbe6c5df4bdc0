"""GET /api/users/: many users, by offset and by cursor."""

import os
import random
import re
import secrets
from collections.abc import Callable, Iterator

import pytest

from tests.api.client import NONE, Answer, Api, Headers, User, invalid

MANY = 300
LINK = re.compile(r'<(/api/users/\?after=[A-Za-z0-9_-]+&limit=\d+)>; rel="next"')
ATTEMPTS = 20


@pytest.fixture(scope="module")
def many(cluster_url: str) -> Iterator[list[User]]:
    """A few hundred users, spread over the partitions."""
    api = Api(cluster_url)
    yield [api.make(name=f"number {number}", group=number) for number in range(MANY)]
    api.clean_up()


def following(answer: Answer) -> str | None:
    """Where the next page is."""
    link = answer.header("link")
    if link is None:
        return None
    match = LINK.fullmatch(link)
    assert match is not None, link
    return match[1]


def pages(api: Api, path: str) -> Iterator[list[User]]:
    """Every page from a path on."""
    following_path: str | None = path
    while following_path is not None:
        answer = api.call("GET", following_path)
        assert answer.status == 200, answer.body
        yield answer.users
        following_path = following(answer)


def walk(api: Api, path: str) -> list[User]:
    return [user for page in pages(api, path) for user in page]


def when_quiet(api: Api, check: Callable[[list[User]], None]) -> None:
    """Check something against all users, at a moment when nobody else makes or deletes any."""
    for _ in range(ATTEMPTS):
        every = walk(api, "/api/users/?limit=1000")
        try:
            check(every)
        except AssertionError as error:
            failed = error
        else:
            return
        if ids(every) == ids(walk(api, "/api/users/?limit=1000")):
            break
    if ids(every) == ids(walk(api, "/api/users/?limit=1000")):
        raise failed
    # Where others never rest there is no such moment; alone it must come.
    assert os.environ.get("DDB_URL"), failed


def ids(users: list[User]) -> list[object]:
    return [user["id"] for user in users]


@pytest.mark.parametrize("limit", [7, 100, 1000])
def test_every_user_once(api: Api, many: list[User], limit: int) -> None:
    """Following the links lists every user exactly once, as it is."""
    found = {user["id"]: user for user in many}
    listed = [user for user in walk(api, f"/api/users/?limit={limit}") if user["id"] in found]
    assert len(listed) == MANY
    assert {user["id"]: user for user in listed} == found


def test_order_is_stable(api: Api, many: list[User]) -> None:
    """Two listings have one order, and changing a user does not move it."""
    mine = set(ids(many))

    def order(limit: int) -> list[object]:
        listed = walk(api, f"/api/users/?limit={limit}")
        return [user["id"] for user in listed if user["id"] in mine]

    before = order(1000)
    assert before == order(33)
    api.call("PUT", f"/api/users/{before[0]}", {"email": "other@example.com"})
    assert order(500) == before
    api.call("PUT", f"/api/users/{before[0]}", {"email": "ada@example.com"})


def test_offset_and_cursor_agree(api: Api, many: list[User]) -> None:
    """The page at any offset is what a walk by cursor has there."""
    rng = random.Random(secrets.randbits(32))

    def check(every: list[User]) -> None:
        count = len(every)
        assert count >= MANY
        places = {0, 1, count - 10, count - 1, *(rng.randrange(count) for _ in range(30))}
        for offset in places:
            limit = rng.choice((1, 2, 10, 64))
            page = api.call("GET", f"/api/users/?offset={offset}&limit={limit}")
            assert ids(page.users) == ids(every[offset : offset + limit]), (offset, limit)
            rest = following(page)
            assert (rest is None) == (offset + limit >= count)
            if rest is not None:
                after = api.call("GET", rest).users
                assert ids(after) == ids(every[offset + limit : offset + 2 * limit])

    when_quiet(api, check)


def test_walk_by_offset(api: Api, many: list[User]) -> None:
    """Adding up the pages by offset lists every user exactly once, in the cursor's order."""

    def check(every: list[User]) -> None:
        listed: list[User] = []
        while page := api.call("GET", f"/api/users/?offset={len(listed)}&limit=100").users:
            listed += page
        assert ids(listed) == ids(every)

    when_quiet(api, check)


def test_count_and_listing_agree(api: Api, many: list[User]) -> None:
    """The count is the number of users listed."""

    def check(every: list[User]) -> None:
        assert api.call("GET", "/api/users/count").json == {"count": len(every)}

    when_quiet(api, check)


def test_default_limit(api: Api, many: list[User]) -> None:
    """Without a limit a page has ten users, and its link says so."""
    answer = api.call("GET", "/api/users/")
    assert len(answer.users) == 10
    assert str(following(answer)).endswith("&limit=10")


@pytest.mark.parametrize("limit", [1, 2, 10, 250])
def test_limit(api: Api, many: list[User], limit: int) -> None:
    """A page has as many users as asked for, and its link asks for as many again."""
    answer = api.call("GET", f"/api/users/?limit={limit}")
    assert len(answer.users) == limit
    assert str(following(answer)).endswith(f"&limit={limit}")


def test_made_and_deleted_at_once(api: Api, many: list[User]) -> None:
    """A user is listed from its POST on, as its PUT left it, and not after its DELETE."""
    user = api.make()

    def listed() -> User | None:
        every = walk(api, "/api/users/?limit=1000")
        return next((each for each in every if each["id"] == user["id"]), None)

    assert listed() == user
    api.call("PUT", f"/api/users/{user['id']}", {"group": 77})
    assert listed() == user | {"group": 77}
    api.call("DELETE", f"/api/users/{user['id']}")
    assert listed() is None


def test_cursor_outlives_its_user(api: Api, many: list[User]) -> None:
    """A cursor works on when the user it names is deleted, and skips and repeats none."""
    answer = api.call("GET", "/api/users/?limit=5")
    page, rest = answer.users, following(answer)
    while rest is not None:
        last = next((user for user in many if user["id"] == page[-1]["id"]), None)
        if last is not None:
            break
        answer = api.call("GET", rest)
        page, rest = answer.users, following(answer)
    assert last is not None
    assert rest is not None
    mine = set(ids(many))
    expected = [user["id"] for user in walk(api, rest) if user["id"] in mine]
    assert api.call("DELETE", f"/api/users/{last['id']}").status == 204
    assert [user["id"] for user in walk(api, rest) if user["id"] in mine] == expected
    assert api.call("POST", "/api/users/", last).status == 201


def test_beyond_the_end(api: Api, many: list[User]) -> None:
    """An offset beyond the last user is an empty page without a link."""
    for offset in (10**12, 2**63 - 1):
        answer = api.call("GET", f"/api/users/?offset={offset}")
        assert (answer.status, answer.users, answer.header("link")) == (200, [], None)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=-1", "limit"),
        ("limit=", "limit"),
        ("limit", "limit"),
        ("limit=x", "limit"),
        ("limit=1.0", "limit"),
        ("limit=1e2", "limit"),
        ("limit=+1", "limit"),
        ("limit=%2B1", "limit"),
        ("limit=%201", "limit"),
        ("limit=1_0", "limit"),
        ("limit=%D9%A3", "limit"),
        ("limit=%C2%B2", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("limit=1&limit=2", "limit"),
        ("offset=-1", "offset"),
        ("offset=", "offset"),
        ("offset=x", "offset"),
        ("offset=1.5", "offset"),
        ("offset=9223372036854775808", "offset"),
        ("offset=" + "9" * 5000, "offset"),
        ("offset=1&offset=1", "offset"),
        ("after=", "after"),
        ("after=x", "after"),
        ("after=AAA", "after"),
        ("after=AAAA!", "after"),
        ("after=____", "after"),
        ("after=%00", "after"),
        ("after=%F0%9F%98%80", "after"),
        ("after=" + "A" * 5000, "after"),
        ("after=AABh&after=AABh", "after"),
        ("after=AABh&offset=0", "after"),
        ("limit=%FF", ""),
        ("x=%FF", ""),
        ("x=y", "x"),
        ("limit=1&Offset=0", "Offset"),
    ],
    ids=lambda value: value[:24],
)
def test_malformed(api: Api, query: str, field: str) -> None:
    """A query that is malformed or out of bounds answers 400 and names the parameter."""
    for path in ("/api/users/", "/api/users"):
        assert set(invalid(api.call("GET", f"{path}?{query}"))) == {field}


@pytest.mark.parametrize(
    "query", ["limit=1", "limit=1000", "limit=007", "offset=0", "offset=0&limit=1", "", "&&"]
)
def test_well_formed(api: Api, many: list[User], query: str) -> None:
    """Bounds are included, and empty parameters mean nothing."""
    answer = api.call("GET", f"/api/users/?{query}")
    assert answer.status == 200
    assert answer.users


def test_listing_under_writes(api: Api, many: list[User]) -> None:
    """Users that stay are listed once each while others are made, changed and deleted."""
    mine = set(ids(many))
    for _ in range(5):
        passing = [api.valid() for _ in range(6)]
        made: list[tuple[str, str, object, Headers]] = [
            ("POST", "/api/users/", user, NONE) for user in passing
        ]
        gone: list[tuple[str, str, object, Headers]] = [
            ("DELETE", f"/api/users/{user['id']}", None, NONE) for user in passing
        ]
        listing: tuple[str, str, object, Headers] = ("GET", "/api/users/?limit=100", None, NONE)
        counting: tuple[str, str, object, Headers] = ("GET", "/api/users/count", None, NONE)
        for changes in (made, gone):
            answers = api.together(*changes, listing, counting, listing, counting)
            assert all(answer.status < 300 for answer in answers)
        listed = [user["id"] for user in walk(api, "/api/users/?limit=100") if user["id"] in mine]
        assert sorted(map(str, listed)) == sorted(map(str, mine))
