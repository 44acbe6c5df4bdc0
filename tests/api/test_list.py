"""GET /api/users/: lists of users, by offset and by cursor."""

import os
import random
import re
import secrets
from collections.abc import Callable, Iterator

import pytest

from tests.http.answer import Answer, User, invalid
from tests.http.api import Api
from tests.http.client import NONE, Headers

USERS = 300
LINK = re.compile(r'<(/api/users/\?after=[A-Za-z0-9_-]+&limit=\d+)>; rel="next"')
ATTEMPTS = 20
"""Lower: other clients' changes fail a comparison. Higher: a real difference shows later."""


@pytest.fixture(scope="module")
def many(cluster_url: str) -> Iterator[list[User]]:
    """Users that hashing spreads over the partitions."""
    api = Api(cluster_url)
    yield [api.make(name=f"number {number}", group=number) for number in range(USERS)]
    api.clean_up()


def next_path(answer: Answer) -> str | None:
    """Return the path of the next page, or None on the last one."""
    link = answer.header("link")
    if link is None:
        return None
    match = LINK.fullmatch(link)
    assert match is not None, link
    return match[1]


def pages(api: Api, path: str) -> Iterator[list[User]]:
    """Yield the page at a path and every page after it."""
    current: str | None = path
    while current is not None:
        answer = api.call("GET", current)
        assert answer.status == 200, answer.body
        yield answer.users
        current = next_path(answer)


def walk(api: Api, path: str) -> list[User]:
    return [user for page in pages(api, path) for user in page]


def when_quiet(api: Api, check: Callable[[list[User]], None]) -> None:
    """Call `check` with all users until it passes, in at most `ATTEMPTS` attempts.

    A failure counts only if the list has the same users after it. In a running system, other
    clients may change the list during every attempt. Then no failure counts.
    """
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
    # A new cluster has no other client, so this failure is real.
    assert os.environ.get("DDB_URL"), failed


def ids(users: list[User]) -> list[object]:
    return [user["id"] for user in users]


@pytest.mark.parametrize("limit", [7, 100, 1000])
def test_every_user_once(api: Api, many: list[User], limit: int) -> None:
    """The links lead to every user exactly once, unchanged."""
    found = {user["id"]: user for user in many}
    listed = [user for user in walk(api, f"/api/users/?limit={limit}") if user["id"] in found]
    assert len(listed) == USERS
    assert {user["id"]: user for user in listed} == found


def test_order_is_stable(api: Api, many: list[User]) -> None:
    """Two lists have the same order, and a change of a user does not move it."""
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
    """The page at any offset has the same users as the cursors' list at that position."""
    rng = random.Random(secrets.randbits(32))

    def check(every: list[User]) -> None:
        count = len(every)
        assert count >= USERS
        offsets = {0, 1, count - 10, count - 1, *(rng.randrange(count) for _ in range(30))}
        for offset in offsets:
            limit = rng.choice((1, 2, 10, 64))
            page = api.call("GET", f"/api/users/?offset={offset}&limit={limit}")
            assert ids(page.users) == ids(every[offset : offset + limit]), (offset, limit)
            next_page = next_path(page)
            assert (next_page is None) == (offset + limit >= count)
            if next_page is not None:
                after = api.call("GET", next_page).users
                assert ids(after) == ids(every[offset + limit : offset + 2 * limit])

    when_quiet(api, check)


def test_walk_by_offset(api: Api, many: list[User]) -> None:
    """The pages by offset have every user exactly once, in the cursors' order."""

    def check(every: list[User]) -> None:
        listed: list[User] = []
        while page := api.call("GET", f"/api/users/?offset={len(listed)}&limit=100").users:
            listed += page
        assert ids(listed) == ids(every)

    when_quiet(api, check)


def test_count_and_listing_agree(api: Api, many: list[User]) -> None:
    """COUNT returns the number of users that LIST returns."""

    def check(every: list[User]) -> None:
        assert api.call("GET", "/api/users/count").json == {"count": len(every)}

    when_quiet(api, check)


def test_default_limit(api: Api, many: list[User]) -> None:
    """Without a limit, a page has ten users and its link has that limit."""
    answer = api.call("GET", "/api/users/")
    assert len(answer.users) == 10
    assert str(next_path(answer)).endswith("&limit=10")


@pytest.mark.parametrize("limit", [1, 2, 10, 250])
def test_limit(api: Api, many: list[User], limit: int) -> None:
    """A page has `limit` users, and its link has the same limit."""
    answer = api.call("GET", f"/api/users/?limit={limit}")
    assert len(answer.users) == limit
    assert str(next_path(answer)).endswith(f"&limit={limit}")


def test_list_after_a_change(api: Api, many: list[User]) -> None:
    """The list shows a POST, a PUT and a DELETE as soon as each is answered."""
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
    """After the DELETE of the user at a cursor, the cursor skips and repeats no other user."""
    answer = api.call("GET", "/api/users/?limit=5")
    page, next_page = answer.users, next_path(answer)
    while next_page is not None:
        last = next((user for user in many if user["id"] == page[-1]["id"]), None)
        if last is not None:
            break
        answer = api.call("GET", next_page)
        page, next_page = answer.users, next_path(answer)
    assert last is not None
    assert next_page is not None
    mine = set(ids(many))
    expected = [user["id"] for user in walk(api, next_page) if user["id"] in mine]
    assert api.call("DELETE", f"/api/users/{last['id']}").status == 204
    assert [user["id"] for user in walk(api, next_page) if user["id"] in mine] == expected
    assert api.call("POST", "/api/users/", last).status == 201


def test_beyond_the_end(api: Api, many: list[User]) -> None:
    """A page at an offset beyond the last user is empty and has no link."""
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
    """A malformed or out-of-range parameter gets 400 with the name of the parameter."""
    for path in ("/api/users/", "/api/users"):
        assert set(invalid(api.call("GET", f"{path}?{query}"))) == {field}


@pytest.mark.parametrize(
    "query", ["limit=1", "limit=1000", "limit=007", "offset=0", "offset=0&limit=1", "", "&&"]
)
def test_well_formed(api: Api, many: list[User], query: str) -> None:
    """The smallest and largest limit are valid. Empty parameters have no effect."""
    answer = api.call("GET", f"/api/users/?{query}")
    assert answer.status == 200
    assert answer.users


def test_listing_under_writes(api: Api, many: list[User]) -> None:
    """The list has each user once, during the POSTs and DELETEs of other users."""
    mine = set(ids(many))
    for _ in range(5):
        temporary = [api.valid() for _ in range(6)]
        creations: list[tuple[str, str, object, Headers]] = [
            ("POST", "/api/users/", user, NONE) for user in temporary
        ]
        deletions: list[tuple[str, str, object, Headers]] = [
            ("DELETE", f"/api/users/{user['id']}", None, NONE) for user in temporary
        ]
        listing: tuple[str, str, object, Headers] = ("GET", "/api/users/?limit=100", None, NONE)
        counting: tuple[str, str, object, Headers] = ("GET", "/api/users/count", None, NONE)
        for changes in (creations, deletions):
            answers = api.together(*changes, listing, counting, listing, counting)
            assert all(answer.status < 300 for answer in answers)
        listed = [user["id"] for user in walk(api, "/api/users/?limit=100") if user["id"] in mine]
        assert sorted(map(str, listed)) == sorted(map(str, mine))
