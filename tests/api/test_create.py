"""POST /api/users/: making users."""

import uuid

import pytest

from tests.api.client import NONE, Api, invalid, missing, refusal


def test_created(api: Api) -> None:
    """A POST answers 201 with the user, where it is, and its entity tag."""
    user = api.valid()
    answer = api.call("POST", "/api/users/", user)
    assert (answer.status, answer.user) == (201, user)
    assert answer.header("location") == f"/api/users/{user['id']}"
    assert answer.etag.startswith('"')


def test_location_leads_to_the_user(api: Api) -> None:
    """The Location of a new user is where a GET finds it, under the same entity tag."""
    user = api.valid()
    made = api.call("POST", "/api/users/", user)
    found = api.call("GET", str(made.header("location")))
    assert (found.status, found.user, found.etag) == (200, user, made.etag)


def test_fields_come_in_the_schemas_order(api: Api) -> None:
    """A user's fields come as id, name, email and group, however they were sent."""
    user = api.valid()
    sent = dict(reversed(user.items()))
    assert list(api.call("POST", "/api/users/", sent).user) == ["id", "name", "email", "group"]
    found = api.call("GET", f"/api/users/{user['id']}")
    assert list(found.user) == ["id", "name", "email", "group"]


def test_generated_id(api: Api) -> None:
    """A user without an id is given one: a random UUID."""
    user = api.valid()
    del user["id"]
    made = api.call("POST", "/api/users/", user)
    assert made.status == 201
    given = str(made.user["id"])
    api.forget_later(given)
    assert str(uuid.UUID(given)) == given
    assert uuid.UUID(given).version == 4
    assert made.user == {"id": given} | user
    assert made.header("location") == f"/api/users/{given}"
    assert api.call("GET", f"/api/users/{given}").user == made.user


def test_generated_ids_differ(api: Api) -> None:
    """Two users without ids become two users."""
    user = api.valid()
    del user["id"]
    ids = [str(api.call("POST", "/api/users/", user).user["id"]) for _ in range(20)]
    for given in ids:
        api.forget_later(given)
    assert len(set(ids)) == 20


def test_id_that_is_null_is_not_generated(api: Api) -> None:
    """An id of null is a wrong id, not a missing one."""
    assert set(invalid(api.call("POST", "/api/users/", api.valid() | {"id": None}))) == {"id"}


def test_exists(api: Api) -> None:
    """A POST of an id that exists answers 409 and changes nothing."""
    user = api.make()
    answer = api.call("POST", "/api/users/", user | {"name": "Another"})
    refusal(answer, 409, "ConflictError")
    assert answer.user["message"] == "User already exists"
    assert api.call("GET", f"/api/users/{user['id']}").user == user


def test_same_user_again_exists(api: Api) -> None:
    """Without an Idempotency-Key even the same POST again answers 409."""
    refusal(api.call("POST", "/api/users/", api.make()), 409, "ConflictError")


def test_deleted_id_can_be_used_again(api: Api) -> None:
    """An id is free again after a DELETE."""
    user = api.make()
    assert api.call("DELETE", f"/api/users/{user['id']}").status == 204
    again = user | {"name": "Another"}
    assert api.call("POST", "/api/users/", again).status == 201
    assert api.call("GET", f"/api/users/{user['id']}").user == again


def test_every_missing_field_is_named(api: Api) -> None:
    """A POST that lacks fields answers 400 with one detail for each."""
    details = invalid(api.call("POST", "/api/users/", {"id": api.fresh()}))
    assert set(details) == {"name", "email", "group"}


def test_every_wrong_field_is_named(api: Api) -> None:
    """A POST answers 400 with one detail for each wrong, missing or unknown field."""
    sent = {"id": "", "name": "", "email": "nowhere", "age": 7, "x" * 300: 1}
    details = invalid(api.call("POST", "/api/users/", sent))
    long = next(field for field in details if field.startswith("xxx"))
    assert len(long) < 100
    assert set(details) - {long} == {"id", "name", "email", "group", "age"}


def test_refused_user_is_not_there(api: Api) -> None:
    """A POST that was refused has made nothing."""
    user = api.valid(group="1")
    invalid(api.call("POST", "/api/users/", user))
    assert api.call("GET", f"/api/users/{user['id']}").status == 404


def test_content_type_does_not_matter(api: Api) -> None:
    """A body is JSON whatever its content type says, as curl says a form."""
    for kind in ("application/x-www-form-urlencoded", "text/plain", "application/json"):
        headers = {"Content-Type": kind}
        assert api.call("POST", "/api/users/", api.valid(), headers).status == 201


def test_one_of_many_creates(api: Api) -> None:
    """Of many POSTs of one id at the same time exactly one answers 201, and its user stays."""
    given = api.fresh()
    users = [api.valid(id=given, name=f"number {number}") for number in range(16)]
    answers = api.together(*(("POST", "/api/users/", user, NONE) for user in users))
    assert sorted(answer.status for answer in answers) == [201] + [409] * 15
    winner = next(user for user, answer in zip(users, answers, strict=True) if answer.status == 201)
    assert api.call("GET", f"/api/users/{given}").user == winner


@pytest.mark.parametrize("tags", ["*", '"0123456789abcdef"', 'W/"x"'])
@pytest.mark.parametrize("keyed", [False, True])
def test_if_match_never_holds(api: Api, tags: str, keyed: bool) -> None:
    """A POST with an If-Match answers 412 and makes nothing, for it demands a user that exists."""
    user = api.valid()
    headers = {"If-Match": tags} | ({"Idempotency-Key": str(user["id"])} if keyed else {})
    refusal(api.call("POST", "/api/users/", user, headers), 412, "ConflictError")
    missing(api.call("GET", f"/api/users/{user['id']}"))
    assert set(invalid(api.call("POST", "/api/users/", user, {"If-Match": "x"}))) == {"If-Match"}
    assert api.call("POST", "/api/users/", user).status == 201
    refusal(api.call("POST", "/api/users/", user, headers), 412, "ConflictError")
