"""DELETE /api/users/{id}: deleting one user."""

from tests.http.answer import missing
from tests.http.api import Api
from tests.http.client import NONE


def test_deleted(api: Api) -> None:
    """A DELETE removes the user, and gets 204 without a body, content type or length."""
    path = f"/api/users/{api.make()['id']}"
    answer = api.call("DELETE", path)
    assert (answer.status, answer.body) == (204, b"")
    for name in ("content-type", "content-length", "transfer-encoding", "etag"):
        assert answer.header(name) is None
    missing(api.call("GET", path))


def test_absent(api: Api) -> None:
    """A DELETE of a user that does not exist gets 404."""
    missing(api.call("DELETE", f"/api/users/{api.fresh()}"))


def test_twice(api: Api) -> None:
    """A repeated DELETE without an Idempotency-Key gets 404."""
    path = f"/api/users/{api.make()['id']}"
    assert api.call("DELETE", path).status == 204
    missing(api.call("DELETE", path))


def test_body_is_ignored(api: Api) -> None:
    """The body of a DELETE has no effect."""
    path = f"/api/users/{api.make()['id']}"
    assert api.call("DELETE", path, b"whatever").status == 204
    assert api.call("GET", "/healthz").status == 200


def test_one_of_many(api: Api) -> None:
    """Exactly one of many concurrent DELETEs of one user gets 204."""
    path = f"/api/users/{api.make()['id']}"
    answers = api.together(*[("DELETE", path, None, NONE)] * 16)
    assert sorted(answer.status for answer in answers) == [204] + [404] * 15


def test_deleted_stays_deleted(api: Api) -> None:
    """A PUT concurrent with a DELETE never restores the user."""
    for _ in range(10):
        path = f"/api/users/{api.make()['id']}"
        delete, *puts = api.together(
            ("DELETE", path, None, NONE),
            *(("PUT", path, {"group": number}, NONE) for number in range(4)),
        )
        assert delete.status == 204
        assert {answer.status for answer in puts} <= {200, 404}
        missing(api.call("GET", path))
