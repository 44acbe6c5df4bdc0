"""Idempotency-Key: a repeated request takes effect once and gets the same answer."""

import secrets

import pytest

from tests.http.answer import invalid, missing, refusal
from tests.http.api import Api
from tests.http.client import Headers


def key() -> Headers:
    return {"Idempotency-Key": secrets.token_hex(16)}


def test_post_again(api: Api) -> None:
    """A repeated POST gets its 201 again, not 409."""
    user, headers = api.valid(), key()
    first, again = (api.call("POST", "/api/users/", user, headers) for _ in range(2))
    assert (first.status, first.user) == (201, user)
    assert again == first


def test_post_again_with_a_generated_id(api: Api) -> None:
    """A repeated POST without an id gets the same id and creates one user."""
    user, headers = api.valid(), key()
    del user["id"]
    first, again = (api.call("POST", "/api/users/", user, headers) for _ in range(2))
    api.delete_later(str(first.user["id"]))
    assert first.status == 201
    assert again == first


def test_generated_ids_of_different_keys_differ(api: Api) -> None:
    """Equal POSTs without an id create different users under different keys."""
    user = api.valid()
    del user["id"]
    made = {str(api.call("POST", "/api/users/", user, key()).user["id"]) for _ in range(5)}
    for user_id in made:
        api.delete_later(user_id)
    assert len(made) == 5


def test_post_again_after_a_delete(api: Api) -> None:
    """A POST repeated after the DELETE of its user gets 201, and creates nothing."""
    user, headers = api.valid(), key()
    path = f"/api/users/{user['id']}"
    first = api.call("POST", "/api/users/", user, headers)
    api.call("DELETE", path)
    again = api.call("POST", "/api/users/", user, headers)
    assert (again.status, again.user) == (201, user)
    assert again.header("location") == first.header("location")
    missing(api.call("GET", path))


def test_refused_post_again(api: Api) -> None:
    """A repeated POST gets its 409 again, even if the id is free by then."""
    user, headers = api.make(), key()
    path = f"/api/users/{user['id']}"
    refusal(api.call("POST", "/api/users/", user, headers), 409, "ConflictError")
    api.call("DELETE", path)
    refusal(api.call("POST", "/api/users/", user, headers), 409, "ConflictError")
    missing(api.call("GET", path))


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_put_again(api: Api, method: str) -> None:
    """A repeated PUT gets 200 again, and does not undo a later change."""
    user, headers = api.make(), key()
    path = f"/api/users/{user['id']}"
    first = api.call(method, path, {"group": 2}, headers)
    assert api.call(method, path, {"group": 2}, headers) == first
    api.call(method, path, {"group": 3})
    again = api.call(method, path, {"group": 2}, headers)
    assert (again.status, again.user) == (200, user | {"group": 3})
    assert api.call("GET", path).user == user | {"group": 3}


def test_put_by_path_and_by_body_are_one_request(api: Api) -> None:
    """Under one key, a PUT with the id in the body repeats a PUT with it in the path."""
    user, headers = api.make(), key()
    by_path = api.call("PUT", f"/api/users/{user['id']}", {"group": 2}, headers)
    by_body = api.call("PUT", "/api/users/", {"id": user["id"], "group": 2}, headers)
    assert by_path == by_body


def test_conditional_put_again(api: Api) -> None:
    """A repeated PUT with If-Match gets 200, even though its own change replaced the tag."""
    path = f"/api/users/{api.make()['id']}"
    headers = dict(key()) | {"If-Match": api.call("GET", path).etag}
    first, again = (api.call("PUT", path, {"group": 2}, headers) for _ in range(2))
    assert first.status == 200
    assert again == first


def test_refused_conditional_put_again(api: Api) -> None:
    """A repeated PUT gets its 412 again, even if its tag matches by then."""
    user = api.make(group=1)
    path = f"/api/users/{user['id']}"
    tag = api.call("GET", path).etag
    api.call("PUT", path, {"group": 2})
    headers = dict(key()) | {"If-Match": tag}
    refusal(api.call("PUT", path, {"group": 9}, headers), 412, "ConflictError")
    api.call("PUT", path, {"group": 1})
    refusal(api.call("PUT", path, {"group": 9}, headers), 412, "ConflictError")
    assert api.call("GET", path).user == user


def test_delete_again(api: Api) -> None:
    """A repeated DELETE gets 204 again, and does not delete a newer user of that id."""
    user, headers = api.make(), key()
    path = f"/api/users/{user['id']}"
    assert api.call("DELETE", path, headers=headers).status == 204
    assert api.call("DELETE", path, headers=headers).status == 204
    assert api.call("POST", "/api/users/", user).status == 201
    assert api.call("DELETE", path, headers=headers).status == 204
    assert api.call("GET", path).user == user


def test_refused_delete_again(api: Api) -> None:
    """A repeated DELETE gets its 404 again, and does not delete a newer user."""
    user, headers = api.valid(), key()
    path = f"/api/users/{user['id']}"
    missing(api.call("DELETE", path, headers=headers))
    assert api.call("POST", "/api/users/", user).status == 201
    missing(api.call("DELETE", path, headers=headers))
    assert api.call("GET", path).user == user


def test_key_used_for_another_request(api: Api) -> None:
    """A second, different request on one user under one key gets 400 and changes nothing."""
    user, headers = api.valid(), key()
    path = f"/api/users/{user['id']}"
    assert api.call("POST", "/api/users/", user, headers).status == 201
    for method, target, body in (
        ("POST", "/api/users/", user | {"group": 2}),
        ("PUT", path, {"group": 2}),
        ("DELETE", path, None),
    ):
        answer = api.call(method, target, body, headers)
        assert set(invalid(answer)) == {"Idempotency-Key"}
    assert api.call("GET", path).user == user


def test_key_with_a_generated_id_used_for_another_request(api: Api) -> None:
    """A different POST without an id, under the key of an earlier one, gets 400."""
    user, headers = api.valid(), key()
    del user["id"]
    first = api.call("POST", "/api/users/", user, headers)
    api.delete_later(str(first.user["id"]))
    other = api.call("POST", "/api/users/", user | {"group": 2}, headers)
    assert set(invalid(other)) == {"Idempotency-Key"}
    assert api.call("GET", str(first.header("location"))).user == first.user


def test_key_with_another_condition(api: Api) -> None:
    """A PUT that repeats the key with another If-Match gets 400."""
    path, headers = f"/api/users/{api.make()['id']}", key()
    tag = api.call("GET", path).etag
    assert api.call("PUT", path, {"group": 2}, headers).status == 200
    other = api.call("PUT", path, {"group": 2}, dict(headers) | {"If-Match": tag})
    assert set(invalid(other)) == {"Idempotency-Key"}


def test_key_after_an_invalid_request(api: Api) -> None:
    """A corrected POST succeeds under the key of the invalid one."""
    user, headers = api.valid(), key()
    invalid(api.call("POST", "/api/users/", user | {"group": "1"}, headers))
    assert api.call("POST", "/api/users/", user, headers).status == 201


def test_duplicates_of_a_post_at_the_same_time(api: Api) -> None:
    """One POST sent many times at once takes effect once. Every copy gets the same 201."""
    for _ in range(5):
        user, headers = api.valid(), key()
        answers = api.together(*[("POST", "/api/users/", user, headers)] * 12)
        assert [answer.status for answer in answers] == [201] * 12
        assert {answer.body for answer in answers} == {answers[0].body}


def test_duplicates_of_a_post_without_an_id_at_the_same_time(api: Api) -> None:
    """One POST without an id sent many times at once creates one user."""
    user, headers = api.valid(), key()
    del user["id"]
    answers = api.together(*[("POST", "/api/users/", user, headers)] * 12)
    for answer in answers:
        api.delete_later(str(answer.user["id"]))
    assert [answer.status for answer in answers] == [201] * 12
    assert len({answer.header("location") for answer in answers}) == 1


def test_duplicates_of_a_delete_at_the_same_time(api: Api) -> None:
    """Every copy of a DELETE that a client sends many times at once gets 204."""
    path, headers = f"/api/users/{api.make()['id']}", key()
    answers = api.together(*[("DELETE", path, None, headers)] * 12)
    assert [answer.status for answer in answers] == [204] * 12
    missing(api.call("GET", path))


def test_duplicates_among_other_changes(api: Api) -> None:
    """Repeated copies of an earlier PUT do not undo a concurrent PUT."""
    for _ in range(5):
        path, headers = f"/api/users/{api.make()['id']}", key()
        copy = ("PUT", path, {"name": "once"}, headers)
        assert api.call(*copy).status == 200
        other = ("PUT", path, {"name": "later"}, key())
        answers = api.together(copy, copy, other, copy, copy)
        assert [answer.status for answer in answers] == [200] * 5
        assert api.call("GET", path).user["name"] == "later"


@pytest.mark.parametrize("malformed", ["", "k" * 256, "é", "a\tb"])
def test_malformed_key(api: Api, malformed: str) -> None:
    """An empty, long or unprintable key gets 400, and the request changes nothing."""
    user = api.make()
    path = f"/api/users/{user['id']}"
    headers = {"Idempotency-Key": malformed}
    for method, target, body in (
        ("POST", "/api/users/", api.valid()),
        ("PUT", path, {"group": 2}),
        ("DELETE", path, None),
    ):
        answer = api.call(method, target, body, headers)
        assert set(invalid(answer)) == {"Idempotency-Key"}
    assert api.call("GET", path).user == user


@pytest.mark.parametrize("text", ["k", "k" * 255, '"8e03978e-40d5-43e8-bc93-6894a57f9324"', "a b"])
def test_key_of_any_printable_text(api: Api, text: str) -> None:
    """A key may be any 1 to 255 printable ASCII characters."""
    path = f"/api/users/{api.make()['id']}"
    headers = {"Idempotency-Key": text}
    first, again = (api.call("DELETE", path, headers=headers) for _ in range(2))
    assert (first.status, again.status) == (204, 204)


def test_one_key_for_different_users(api: Api) -> None:
    """A key identifies a request on one user, so another user may have the same key."""
    headers = key()
    for _ in range(2):
        assert api.call("POST", "/api/users/", api.valid(), headers).status == 201


def test_key_on_a_read_has_no_effect(api: Api) -> None:
    """A repeated GET with a key returns the current user."""
    path, headers = f"/api/users/{api.make(group=1)['id']}", key()
    assert api.call("GET", path, headers=headers).user["group"] == 1
    api.call("PUT", path, {"group": 2})
    assert api.call("GET", path, headers=headers).user["group"] == 2
