"""Idempotency-Key: a request sent again is done once and answered the same."""

import secrets

import pytest

from tests.api.client import Api, Headers, invalid, missing, refusal


def key() -> Headers:
    return {"Idempotency-Key": secrets.token_hex(16)}


def test_post_again(api: Api) -> None:
    """A POST sent again answers its 201 again, not a 409."""
    user, headers = api.valid(), key()
    first, again = (api.call("POST", "/api/users/", user, headers) for _ in range(2))
    assert (first.status, first.user) == (201, user)
    assert again == first


def test_post_again_with_a_generated_id(api: Api) -> None:
    """A POST without an id sent again answers the same id and makes one user."""
    user, headers = api.valid(), key()
    del user["id"]
    first, again = (api.call("POST", "/api/users/", user, headers) for _ in range(2))
    api.forget_later(str(first.user["id"]))
    assert first.status == 201
    assert again == first


def test_generated_ids_of_different_keys_differ(api: Api) -> None:
    """Equal users without ids under different keys are different users."""
    user = api.valid()
    del user["id"]
    made = {str(api.call("POST", "/api/users/", user, key()).user["id"]) for _ in range(5)}
    for given in made:
        api.forget_later(given)
    assert len(made) == 5


def test_post_again_after_a_delete(api: Api) -> None:
    """A POST sent again after its user was deleted answers 201 and does not bring it back."""
    user, headers = api.valid(), key()
    path = f"/api/users/{user['id']}"
    first = api.call("POST", "/api/users/", user, headers)
    api.call("DELETE", path)
    again = api.call("POST", "/api/users/", user, headers)
    assert (again.status, again.user) == (201, user)
    assert again.header("location") == first.header("location")
    missing(api.call("GET", path))


def test_refused_post_again(api: Api) -> None:
    """A POST that was refused stays refused when sent again, though the id is free by then."""
    user, headers = api.make(), key()
    path = f"/api/users/{user['id']}"
    refusal(api.call("POST", "/api/users/", user, headers), 409, "ConflictError")
    api.call("DELETE", path)
    refusal(api.call("POST", "/api/users/", user, headers), 409, "ConflictError")
    missing(api.call("GET", path))


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_put_again(api: Api, method: str) -> None:
    """A PUT sent again answers 200 again and does not undo what came between."""
    user, headers = api.make(), key()
    path = f"/api/users/{user['id']}"
    first = api.call(method, path, {"group": 2}, headers)
    assert api.call(method, path, {"group": 2}, headers) == first
    api.call(method, path, {"group": 3})
    again = api.call(method, path, {"group": 2}, headers)
    assert (again.status, again.user) == (200, user | {"group": 3})
    assert api.call("GET", path).user == user | {"group": 3}


def test_put_by_path_and_by_body_are_the_same(api: Api) -> None:
    """A PUT with the id in the path and one with it in the body are one request under one key."""
    user, headers = api.make(), key()
    by_path = api.call("PUT", f"/api/users/{user['id']}", {"group": 2}, headers)
    by_body = api.call("PUT", "/api/users/", {"id": user["id"], "group": 2}, headers)
    assert by_path == by_body


def test_conditional_put_again(api: Api) -> None:
    """A PUT with If-Match sent again answers 200, though its own change made the tag stale."""
    path = f"/api/users/{api.make()['id']}"
    headers = dict(key()) | {"If-Match": api.call("GET", path).etag}
    first, again = (api.call("PUT", path, {"group": 2}, headers) for _ in range(2))
    assert first.status == 200
    assert again == first


def test_refused_conditional_put_again(api: Api) -> None:
    """A PUT that answered 412 does so again, though its condition holds by then."""
    user = api.make(group=1)
    path = f"/api/users/{user['id']}"
    wanted = api.call("GET", path).etag
    api.call("PUT", path, {"group": 2})
    headers = dict(key()) | {"If-Match": wanted}
    refusal(api.call("PUT", path, {"group": 9}, headers), 412, "ConflictError")
    api.call("PUT", path, {"group": 1})
    refusal(api.call("PUT", path, {"group": 9}, headers), 412, "ConflictError")
    assert api.call("GET", path).user == user


def test_delete_again(api: Api) -> None:
    """A DELETE sent again answers 204 again, and does not delete a new user of that id."""
    user, headers = api.make(), key()
    path = f"/api/users/{user['id']}"
    assert api.call("DELETE", path, headers=headers).status == 204
    assert api.call("DELETE", path, headers=headers).status == 204
    assert api.call("POST", "/api/users/", user).status == 201
    assert api.call("DELETE", path, headers=headers).status == 204
    assert api.call("GET", path).user == user


def test_refused_delete_again(api: Api) -> None:
    """A DELETE that answered 404 does so again, and leaves a user made since alone."""
    user, headers = api.valid(), key()
    path = f"/api/users/{user['id']}"
    missing(api.call("DELETE", path, headers=headers))
    assert api.call("POST", "/api/users/", user).status == 201
    missing(api.call("DELETE", path, headers=headers))
    assert api.call("GET", path).user == user


def test_key_used_for_another_request(api: Api) -> None:
    """A key used for one request answers 400 for another on the same user, which is not done."""
    user, headers = api.valid(), key()
    path = f"/api/users/{user['id']}"
    assert api.call("POST", "/api/users/", user, headers).status == 201
    for method, target, body, extra in (
        ("POST", "/api/users/", user | {"group": 2}, {}),
        ("PUT", path, {"group": 2}, {}),
        ("DELETE", path, None, {}),
    ):
        answer = api.call(method, target, body, dict(headers) | extra)
        assert set(invalid(answer)) == {"Idempotency-Key"}
    assert api.call("GET", path).user == user


def test_key_with_a_generated_id_used_for_another_request(api: Api) -> None:
    """A key under which an id was generated answers 400 for another user without an id."""
    user, headers = api.valid(), key()
    del user["id"]
    first = api.call("POST", "/api/users/", user, headers)
    api.forget_later(str(first.user["id"]))
    other = api.call("POST", "/api/users/", user | {"group": 2}, headers)
    assert set(invalid(other)) == {"Idempotency-Key"}
    assert api.call("GET", str(first.header("location"))).user == first.user


def test_key_with_another_condition(api: Api) -> None:
    """The same PUT with another If-Match is another request."""
    path, headers = f"/api/users/{api.make()['id']}", key()
    tag = api.call("GET", path).etag
    assert api.call("PUT", path, {"group": 2}, headers).status == 200
    other = api.call("PUT", path, {"group": 2}, dict(headers) | {"If-Match": tag})
    assert set(invalid(other)) == {"Idempotency-Key"}


def test_key_after_an_invalid_request(api: Api) -> None:
    """A request that was invalid does not use up its key."""
    user, headers = api.valid(), key()
    invalid(api.call("POST", "/api/users/", user | {"group": "1"}, headers))
    assert api.call("POST", "/api/users/", user, headers).status == 201


def test_duplicates_of_a_post_at_the_same_time(api: Api) -> None:
    """One POST sent many times at once is done once, and every copy answers 201."""
    for _ in range(5):
        user, headers = api.valid(), key()
        answers = api.together(*[("POST", "/api/users/", user, headers)] * 12)
        assert [answer.status for answer in answers] == [201] * 12
        assert {answer.body for answer in answers} == {answers[0].body}


def test_duplicates_of_a_post_without_an_id_at_the_same_time(api: Api) -> None:
    """One POST without an id sent many times at once makes one user."""
    user, headers = api.valid(), key()
    del user["id"]
    answers = api.together(*[("POST", "/api/users/", user, headers)] * 12)
    for answer in answers:
        api.forget_later(str(answer.user["id"]))
    assert [answer.status for answer in answers] == [201] * 12
    assert len({answer.header("location") for answer in answers}) == 1


def test_duplicates_of_a_delete_at_the_same_time(api: Api) -> None:
    """One DELETE sent many times at once answers every copy 204."""
    path, headers = f"/api/users/{api.make()['id']}", key()
    answers = api.together(*[("DELETE", path, None, headers)] * 12)
    assert [answer.status for answer in answers] == [204] * 12
    missing(api.call("GET", path))


def test_duplicates_among_other_changes(api: Api) -> None:
    """Copies of one PUT that arrive among other PUTs change the user once, not again later."""
    for _ in range(5):
        path, headers = f"/api/users/{api.make()['id']}", key()
        copy = ("PUT", path, {"name": "once"}, headers)
        assert api.call(*copy).status == 200
        other = ("PUT", path, {"name": "later"}, key())
        answers = api.together(copy, copy, other, copy, copy)
        assert [answer.status for answer in answers] == [200] * 5
        assert api.call("GET", path).user["name"] == "later"


@pytest.mark.parametrize("given", ["", "k" * 256, "é", "a\tb"])
def test_malformed_key(api: Api, given: str) -> None:
    """A key that is empty, too long or not printable ASCII answers 400 and nothing is done."""
    user = api.make()
    path = f"/api/users/{user['id']}"
    headers = {"Idempotency-Key": given}
    for method, target, body in (
        ("POST", "/api/users/", api.valid()),
        ("PUT", path, {"group": 2}),
        ("DELETE", path, None),
    ):
        answer = api.call(method, target, body, headers)
        assert set(invalid(answer)) == {"Idempotency-Key"}
    assert api.call("GET", path).user == user


@pytest.mark.parametrize("given", ["k", "k" * 255, '"8e03978e-40d5-43e8-bc93-6894a57f9324"', "a b"])
def test_key_of_any_printable_text(api: Api, given: str) -> None:
    """A key may be any 1 to 255 printable characters."""
    path = f"/api/users/{api.make()['id']}"
    headers = {"Idempotency-Key": given}
    first, again = (api.call("DELETE", path, headers=headers) for _ in range(2))
    assert (first.status, again.status) == (204, 204)


def test_one_key_for_different_users(api: Api) -> None:
    """A key is the client's word for one user's change: another user's is another."""
    headers = key()
    for _ in range(2):
        assert api.call("POST", "/api/users/", api.valid(), headers).status == 201


def test_key_on_a_read_means_nothing(api: Api) -> None:
    """A GET with a key answers the present, every time."""
    path, headers = f"/api/users/{api.make(group=1)['id']}", key()
    assert api.call("GET", path, headers=headers).user["group"] == 1
    api.call("PUT", path, {"group": 2})
    assert api.call("GET", path, headers=headers).user["group"] == 2
