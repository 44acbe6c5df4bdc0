"""PUT and PATCH: changing fields of a user."""

import pytest

from tests.http.answer import invalid, missing, refusal
from tests.http.api import Api
from tests.http.client import NONE

CHANGES: list[dict[str, object]] = [
    {"name": "Grace Hopper"},
    {"email": "grace@example.com"},
    {"group": -7},
    {"name": "Grace Hopper", "group": 0},
    {"name": "Grace Hopper", "email": "grace@example.com", "group": 2},
    {},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: "+".join(change) or "nothing")
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_by_path(api: Api, method: str, change: dict[str, object]) -> None:
    """A PUT or PATCH of a user replaces the fields in its body, and returns the whole user."""
    user = api.make()
    path = f"/api/users/{user['id']}"
    answer = api.call(method, path, change)
    assert (answer.status, answer.user) == (200, user | change)
    found = api.call("GET", path)
    assert (found.user, found.etag) == (user | change, answer.etag)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: "+".join(change) or "nothing")
def test_by_body(api: Api, change: dict[str, object]) -> None:
    """A PUT of the collection changes the user whose id is in its body."""
    user = api.make()
    answer = api.call("PUT", "/api/users/", change | {"id": user["id"]})
    assert (answer.status, answer.user) == (200, user | change)
    found = api.call("GET", f"/api/users/{user['id']}")
    assert (found.user, found.etag) == (user | change, answer.etag)


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_same_id_in_path_and_body(api: Api, method: str) -> None:
    """The body may repeat the id of the path."""
    user = api.make()
    answer = api.call(method, f"/api/users/{user['id']}", {"id": user["id"], "group": 5})
    assert (answer.status, answer.user) == (200, user | {"group": 5})


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_other_id(api: Api, method: str) -> None:
    """A body with another id than the path gets 400 and changes neither user."""
    one, other = api.make(), api.make()
    answer = api.call(method, f"/api/users/{one['id']}", {"id": other["id"], "group": 5})
    assert set(invalid(answer)) == {"id"}
    for user in (one, other):
        assert api.call("GET", f"/api/users/{user['id']}").user == user


@pytest.mark.parametrize("id", [None, 1, "", [], True])
def test_wrong_id(api: Api, id: object) -> None:
    """A body with a malformed id gets 400, for one user and for the collection."""
    user = api.make()
    assert set(invalid(api.call("PUT", f"/api/users/{user['id']}", {"id": id}))) == {"id"}
    assert set(invalid(api.call("PUT", "/api/users/", {"id": id, "group": 1}))) == {"id"}


def test_no_id(api: Api) -> None:
    """A PUT of the collection without an id gets 400."""
    assert set(invalid(api.call("PUT", "/api/users/", {"group": 1}))) == {"id"}


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_absent(api: Api, method: str) -> None:
    """A PUT or PATCH of a user that does not exist gets 404 and creates none."""
    user = api.valid()
    path = f"/api/users/{user['id']}"
    missing(api.call(method, path, user))
    missing(api.call("GET", path))


def test_absent_by_body(api: Api) -> None:
    """A PUT of the collection for a user that does not exist gets 404 and creates none."""
    user = api.valid()
    missing(api.call("PUT", "/api/users/", user))
    missing(api.call("GET", f"/api/users/{user['id']}"))


def test_wrong_fields(api: Api) -> None:
    """A PUT with wrong or unknown fields gets one detail for each, and changes no field."""
    user = api.make()
    change = {"name": 7, "email": "x", "group": 3, "age": 1}
    details = invalid(api.call("PUT", f"/api/users/{user['id']}", change))
    assert set(details) == {"name", "email", "age"}
    assert api.call("GET", f"/api/users/{user['id']}").user == user


def test_wrong_fields_without_a_user(api: Api) -> None:
    """A PUT with a wrong field gets 400 even if its user does not exist."""
    assert set(invalid(api.call("PUT", f"/api/users/{api.fresh()}", {"group": "x"}))) == {"group"}


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_if_match(api: Api, method: str) -> None:
    """If-Match with another tag than the user's gets 412 and changes nothing."""
    user = api.make()
    path = f"/api/users/{user['id']}"
    answer = api.call(method, path, {"group": 2}, {"If-Match": '"0123456789abcdef"'})
    refusal(answer, 412, "ConflictError")
    assert api.call("GET", path).user == user
    tag = api.call("GET", path).etag
    assert api.call(method, path, {"group": 2}, {"If-Match": tag}).status in (200, 204)


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ("*", 200),
        ("{tag}", 200),
        ('"0123456789abcdef", {tag}', 200),
        ('"x",,\t{tag} ,', 200),
        ("W/{tag}", 412),
        ('"0123456789abcdef"', 412),
        ('"0123456789abcdef", "x", ""', 412),
        ('"*"', 412),
        ('"0123456789ABCDEF"', 412),
    ],
)
def test_if_match_forms(api: Api, condition: str, status: int) -> None:
    """If-Match accepts `*` and lists of tags. It compares strongly: a weak tag never matches."""
    path = f"/api/users/{api.make()['id']}"
    tag = api.call("GET", path).etag
    headers = {"If-Match": condition.format(tag=tag)}
    assert api.call("PUT", path, {"group": 2}, headers).status == status


def test_if_match_on_the_collection(api: Api) -> None:
    """If-Match on a PUT of the collection checks the user in the body."""
    user = api.make()
    change = {"id": user["id"], "group": 2}
    tag = api.call("GET", f"/api/users/{user['id']}").etag
    stale = api.call("PUT", "/api/users/", change, {"If-Match": '"0123456789abcdef"'})
    refusal(stale, 412, "ConflictError")
    assert api.call("PUT", "/api/users/", change, {"If-Match": tag}).status == 200


@pytest.mark.parametrize("condition", ["abc", '"abc', 'W"abc"', '*, "x"', '"a" "b"', "", ","])
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "GET"])
def test_if_match_malformed(api: Api, method: str, condition: str) -> None:
    """An If-Match that is not a list of tags gets 400 with its name, and changes nothing."""
    user = api.make()
    path = f"/api/users/{user['id']}"
    answer = api.call(method, path, {"group": 2}, {"If-Match": condition})
    assert set(invalid(answer)) == {"If-Match"}
    assert api.call("GET", path).user == user


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_if_match_without_a_user(api: Api, method: str) -> None:
    """A change of a user that does not exist gets 404, with any If-Match."""
    path = f"/api/users/{api.fresh()}"
    for condition in ("*", '"0123456789abcdef"'):
        missing(api.call(method, path, {"group": 2}, {"If-Match": condition}))


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_if_none_match_is_not_ignored(api: Api, method: str) -> None:
    """A change with If-None-Match, which changes do not support, gets 400 and has no effect."""
    user = api.make()
    path = f"/api/users/{user['id']}"
    answer = api.call(method, path, {"group": 2}, {"If-None-Match": "*"})
    details = invalid(answer)
    assert set(details) == {"If-None-Match"}
    assert "nothing was changed" in details["If-None-Match"]
    assert "POST needs no condition" in details["If-None-Match"]
    assert api.call("GET", path).user == user


def test_one_of_many_with_the_same_tag(api: Api) -> None:
    """Exactly one of many concurrent PUTs with the same tag succeeds."""
    path = f"/api/users/{api.make()['id']}"
    headers = {"If-Match": api.call("GET", path).etag}
    answers = api.together(*(("PUT", path, {"group": n + 100}, headers) for n in range(16)))
    assert sorted(answer.status for answer in answers) == [200] + [412] * 15
    made = next(answer for answer in answers if answer.status == 200)
    assert api.call("GET", path).user == made.user


def test_different_fields_at_the_same_time(api: Api) -> None:
    """Concurrent PUTs of different fields all take effect."""
    for turn in range(10):
        user = api.make()
        path = f"/api/users/{user['id']}"
        changes: list[dict[str, object]] = [
            {"name": f"name {turn}"},
            {"email": f"e{turn}@example.com"},
            {"group": turn + 1000},
        ]
        answers = api.together(*(("PUT", path, change, NONE) for change in changes))
        assert [answer.status for answer in answers] == [200] * 3
        for change, answer in zip(changes, answers, strict=True):
            assert change.items() <= answer.user.items()
        whole = user | changes[0] | changes[1] | changes[2]
        assert api.call("GET", path).user == whole


def test_increments_by_compare_and_set(api: Api) -> None:
    """Exactly one of several concurrent increments with one tag succeeds, and none is lost."""
    path = f"/api/users/{api.make(group=0)['id']}"

    def increment() -> int:
        """Send three equal increments at once, and return how many succeed."""
        found = api.call("GET", path)
        group = found.user["group"]
        assert isinstance(group, int)
        change = ("PUT", path, {"group": group + 1}, {"If-Match": found.etag})
        return sum(answer.status == 200 for answer in api.together(change, change, change))

    assert sum(increment() for _ in range(10)) == 10
    assert api.call("GET", path).user["group"] == 10
