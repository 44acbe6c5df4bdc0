"""POST /api/users/: creating users."""

import uuid

import pytest

from tests.http.answer import invalid, missing, refusal
from tests.http.api import Api
from tests.http.client import NONE


def test_created(api: Api) -> None:
    """A POST gets 201 with the user, its Location and its entity tag."""
    user = api.valid()
    answer = api.call("POST", "/api/users/", user)
    assert (answer.status, answer.user) == (201, user)
    assert answer.header("location") == f"/api/users/{user['id']}"
    assert answer.etag.startswith('"')


def test_location_leads_to_the_user(api: Api) -> None:
    """A GET of the Location returns the new user, with the same entity tag."""
    user = api.valid()
    made = api.call("POST", "/api/users/", user)
    found = api.call("GET", str(made.header("location")))
    assert (found.status, found.user, found.etag) == (200, user, made.etag)


def test_fields_are_in_schema_order(api: Api) -> None:
    """The answer lists id, name, email and group in this order, for any order of the request."""
    user = api.valid()
    sent = dict(reversed(user.items()))
    assert list(api.call("POST", "/api/users/", sent).user) == ["id", "name", "email", "group"]
    found = api.call("GET", f"/api/users/{user['id']}")
    assert list(found.user) == ["id", "name", "email", "group"]


def test_generated_id(api: Api) -> None:
    """The gateway generates a random UUID for a user without an id."""
    user = api.valid()
    del user["id"]
    made = api.call("POST", "/api/users/", user)
    assert made.status == 201
    user_id = str(made.user["id"])
    api.delete_later(user_id)
    assert str(uuid.UUID(user_id)) == user_id
    assert uuid.UUID(user_id).version == 4
    assert made.user == {"id": user_id} | user
    assert made.header("location") == f"/api/users/{user_id}"
    assert api.call("GET", f"/api/users/{user_id}").user == made.user


def test_generated_ids_differ(api: Api) -> None:
    """Equal POSTs without an id create different users."""
    user = api.valid()
    del user["id"]
    ids = [str(api.call("POST", "/api/users/", user).user["id"]) for _ in range(20)]
    for user_id in ids:
        api.delete_later(user_id)
    assert len(set(ids)) == 20


def test_id_that_is_null_is_not_generated(api: Api) -> None:
    """An id of null gets 400. The gateway generates an id only if the field is missing."""
    assert set(invalid(api.call("POST", "/api/users/", api.valid() | {"id": None}))) == {"id"}


def test_existing_id(api: Api) -> None:
    """A POST of an id that exists gets 409 and changes nothing."""
    user = api.make()
    answer = api.call("POST", "/api/users/", user | {"name": "Another"})
    refusal(answer, 409, "ConflictError")
    assert answer.user["message"] == "User already exists"
    assert api.call("GET", f"/api/users/{user['id']}").user == user


def test_same_post_again(api: Api) -> None:
    """A repeated POST without an Idempotency-Key gets 409."""
    refusal(api.call("POST", "/api/users/", api.make()), 409, "ConflictError")


def test_deleted_id_can_be_used_again(api: Api) -> None:
    """A POST of a deleted id creates a user."""
    user = api.make()
    assert api.call("DELETE", f"/api/users/{user['id']}").status == 204
    again = user | {"name": "Another"}
    assert api.call("POST", "/api/users/", again).status == 201
    assert api.call("GET", f"/api/users/{user['id']}").user == again


def test_every_missing_field_is_named(api: Api) -> None:
    """A POST that lacks fields gets 400 with one detail for each."""
    details = invalid(api.call("POST", "/api/users/", {"id": api.fresh()}))
    assert set(details) == {"name", "email", "group"}


def test_every_wrong_field_is_named(api: Api) -> None:
    """A POST gets 400 with one detail for each wrong, missing or unknown field."""
    sent = {"id": "", "name": "", "email": "nowhere", "age": 7, "x" * 300: 1}
    details = invalid(api.call("POST", "/api/users/", sent))
    long = next(field for field in details if field.startswith("xxx"))
    assert len(long) < 100
    assert set(details) - {long} == {"id", "name", "email", "group", "age"}


def test_refused_post_creates_nothing(api: Api) -> None:
    """A POST that gets 400 creates nothing."""
    user = api.valid(group="1")
    invalid(api.call("POST", "/api/users/", user))
    assert api.call("GET", f"/api/users/{user['id']}").status == 404


def test_content_type_does_not_matter(api: Api) -> None:
    """The gateway reads each body as JSON, and ignores Content-Type: curl declares a form."""
    for kind in ("application/x-www-form-urlencoded", "text/plain", "application/json"):
        headers = {"Content-Type": kind}
        assert api.call("POST", "/api/users/", api.valid(), headers).status == 201


def test_one_of_many_creates(api: Api) -> None:
    """Exactly one of many concurrent POSTs of one id gets 201, and its user stays."""
    user_id = api.fresh()
    users = [api.valid(id=user_id, name=f"number {number}") for number in range(16)]
    answers = api.together(*(("POST", "/api/users/", user, NONE) for user in users))
    assert sorted(answer.status for answer in answers) == [201] + [409] * 15
    winner = next(user for user, answer in zip(users, answers, strict=True) if answer.status == 201)
    assert api.call("GET", f"/api/users/{user_id}").user == winner


@pytest.mark.parametrize("tags", ["*", '"0123456789abcdef"', 'W/"x"'])
@pytest.mark.parametrize("keyed", [False, True])
def test_if_match_never_matches(api: Api, tags: str, keyed: bool) -> None:
    """A POST with If-Match gets 412 and creates nothing: If-Match demands a user that exists.

    `keyed`: True adds an Idempotency-Key. False sends none.
    """
    user = api.valid()
    headers = {"If-Match": tags} | ({"Idempotency-Key": str(user["id"])} if keyed else {})
    refusal(api.call("POST", "/api/users/", user, headers), 412, "ConflictError")
    missing(api.call("GET", f"/api/users/{user['id']}"))
    assert set(invalid(api.call("POST", "/api/users/", user, {"If-Match": "x"}))) == {"If-Match"}
    assert api.call("POST", "/api/users/", user).status == 201
    refusal(api.call("POST", "/api/users/", user, headers), 412, "ConflictError")
