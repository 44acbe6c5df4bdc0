"""PUT and PATCH: changing some fields of a user."""

import pytest

from tests.api.client import NONE, Api, invalid, missing, refusal

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
    """A PUT or PATCH of a user's path replaces the fields it names and answers the whole user."""
    user = api.make()
    path = f"/api/users/{user['id']}"
    answer = api.call(method, path, change)
    assert (answer.status, answer.user) == (200, user | change)
    found = api.call("GET", path)
    assert (found.user, found.etag) == (user | change, answer.etag)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: "+".join(change) or "nothing")
def test_by_body(api: Api, change: dict[str, object]) -> None:
    """A PUT of the collection changes the user that its body names."""
    user = api.make()
    answer = api.call("PUT", "/api/users/", change | {"id": user["id"]})
    assert (answer.status, answer.user) == (200, user | change)
    found = api.call("GET", f"/api/users/{user['id']}")
    assert (found.user, found.etag) == (user | change, answer.etag)


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_id_may_be_said_twice(api: Api, method: str) -> None:
    """The body may repeat the path's id."""
    user = api.make()
    answer = api.call(method, f"/api/users/{user['id']}", {"id": user["id"], "group": 5})
    assert (answer.status, answer.user) == (200, user | {"group": 5})


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_other_id(api: Api, method: str) -> None:
    """A body whose id is not the path's answers 400 and changes neither user."""
    one, other = api.make(), api.make()
    answer = api.call(method, f"/api/users/{one['id']}", {"id": other["id"], "group": 5})
    assert set(invalid(answer)) == {"id"}
    for user in (one, other):
        assert api.call("GET", f"/api/users/{user['id']}").user == user


@pytest.mark.parametrize("id", [None, 1, "", [], True])
def test_wrong_id(api: Api, id: object) -> None:
    """A body whose id is no id answers 400, with the path's user or without."""
    user = api.make()
    assert set(invalid(api.call("PUT", f"/api/users/{user['id']}", {"id": id}))) == {"id"}
    assert set(invalid(api.call("PUT", "/api/users/", {"id": id, "group": 1}))) == {"id"}


def test_no_id(api: Api) -> None:
    """A PUT of the collection that names no user answers 400."""
    assert set(invalid(api.call("PUT", "/api/users/", {"group": 1}))) == {"id"}


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_absent(api: Api, method: str) -> None:
    """A PUT or PATCH of a user that is not there answers 404 and makes none."""
    user = api.valid()
    path = f"/api/users/{user['id']}"
    missing(api.call(method, path, user))
    missing(api.call("GET", path))


def test_absent_by_body(api: Api) -> None:
    """A PUT of the collection for a user that is not there answers 404 and makes none."""
    user = api.valid()
    missing(api.call("PUT", "/api/users/", user))
    missing(api.call("GET", f"/api/users/{user['id']}"))


def test_wrong_fields(api: Api) -> None:
    """A PUT names every wrong or unknown field and changes none, not even the right ones."""
    user = api.make()
    change = {"name": 7, "email": "x", "group": 3, "age": 1}
    details = invalid(api.call("PUT", f"/api/users/{user['id']}", change))
    assert set(details) == {"name", "email", "age"}
    assert api.call("GET", f"/api/users/{user['id']}").user == user


def test_wrong_fields_of_nobody(api: Api) -> None:
    """A PUT that is wrong in itself answers 400 whether or not its user is there."""
    assert set(invalid(api.call("PUT", f"/api/users/{api.fresh()}", {"group": "x"}))) == {"group"}


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_if_match(api: Api, method: str) -> None:
    """If-Match with another tag than the user's answers 412 and changes nothing."""
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
    """If-Match takes * and lists of tags, and compares them strongly: a weak one never matches."""
    path = f"/api/users/{api.make()['id']}"
    tag = api.call("GET", path).etag
    headers = {"If-Match": condition.format(tag=tag)}
    assert api.call("PUT", path, {"group": 2}, headers).status == status


def test_if_match_on_the_collection(api: Api) -> None:
    """If-Match works on a PUT of the collection as on one of the user's path."""
    user = api.make()
    change = {"id": user["id"], "group": 2}
    tag = api.call("GET", f"/api/users/{user['id']}").etag
    stale = api.call("PUT", "/api/users/", change, {"If-Match": '"0123456789abcdef"'})
    refusal(stale, 412, "ConflictError")
    assert api.call("PUT", "/api/users/", change, {"If-Match": tag}).status == 200


@pytest.mark.parametrize("condition", ["abc", '"abc', 'W"abc"', '*, "x"', '"a" "b"', "", ","])
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "GET"])
def test_if_match_malformed(api: Api, method: str, condition: str) -> None:
    """An If-Match that is no list of entity tags answers 400, names the header, changes nothing."""
    user = api.make()
    path = f"/api/users/{user['id']}"
    answer = api.call(method, path, {"group": 2}, {"If-Match": condition})
    assert set(invalid(answer)) == {"If-Match"}
    assert api.call("GET", path).user == user


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_if_match_of_nobody(api: Api, method: str) -> None:
    """Without a user the answer is 404, whatever If-Match says."""
    path = f"/api/users/{api.fresh()}"
    for condition in ("*", '"0123456789abcdef"'):
        missing(api.call(method, path, {"group": 2}, {"If-Match": condition}))


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_if_none_match_is_not_ignored(api: Api, method: str) -> None:
    """A change with If-None-Match, which it does not know, answers 400 rather than be made."""
    user = api.make()
    path = f"/api/users/{user['id']}"
    answer = api.call(method, path, {"group": 2}, {"If-None-Match": "*"})
    details = invalid(answer)
    assert set(details) == {"If-None-Match"}
    assert "nothing was changed" in details["If-None-Match"]
    assert "POST needs no condition" in details["If-None-Match"]
    assert api.call("GET", path).user == user


def test_one_of_many_with_the_same_tag(api: Api) -> None:
    """Of many PUTs at the same time that name one tag, exactly one is made."""
    path = f"/api/users/{api.make()['id']}"
    headers = {"If-Match": api.call("GET", path).etag}
    answers = api.together(*(("PUT", path, {"group": n + 100}, headers) for n in range(16)))
    assert sorted(answer.status for answer in answers) == [200] + [412] * 15
    made = next(answer for answer in answers if answer.status == 200)
    assert api.call("GET", path).user == made.user


def test_different_fields_at_the_same_time(api: Api) -> None:
    """Of PUTs of different fields at the same time none is lost."""
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
    """A counter that many raise by GET and If-Match loses no increment."""
    path = f"/api/users/{api.make(group=0)['id']}"

    def raised() -> int:
        found = api.call("GET", path)
        group = found.user["group"]
        assert isinstance(group, int)
        change = ("PUT", path, {"group": group + 1}, {"If-Match": found.etag})
        return sum(answer.status == 200 for answer in api.together(change, change, change))

    assert sum(raised() for _ in range(10)) == 10
    assert api.call("GET", path).user["group"] == 10
