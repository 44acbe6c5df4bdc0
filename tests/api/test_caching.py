"""Cache headers: rules for a cache between a client and the gateway."""

import pytest

from tests.http.api import Api


def test_caches_revalidate_records(api: Api) -> None:
    """A record has an ETag and `no-cache`, so a cache revalidates it before each use."""
    user = api.valid()
    path = f"/api/users/{user['id']}"
    answers = [
        api.call("POST", "/api/users/", user),
        api.call("GET", path),
        api.call("HEAD", path),
        api.call("PUT", path, {"group": 2}),
        api.call("PUT", "/api/users/", user),
        api.call("PATCH", path, {"group": 3}),
    ]
    answers.append(api.call("GET", path, headers={"If-None-Match": answers[-1].etag}))
    assert [answer.status for answer in answers] == [201, 200, 200, 200, 200, 200, 304]
    assert {answer.header("cache-control") for answer in answers} == {"no-cache"}
    assert all(answer.etag for answer in answers)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/users/", 200),
        ("GET", "/api/users/count", 200),
        ("GET", "/healthz", 200),
        ("GET", "/readyz", 200),
        ("GET", "/statusz", 200),
        ("GET", "/api/users/no-such-user", 404),
        ("GET", "/nothing", 404),
        ("DELETE", "/api/users/", 405),
        ("POST", "/api/users/", 400),
        ("GET", "/api/users/?limit=0", 400),
    ],
)
def test_other_answers_are_not_stored(api: Api, method: str, path: str, status: int) -> None:
    """LIST, COUNT, health and errors have `no-store` and no ETag, so no cache stores them."""
    answer = api.call(method, path)
    assert answer.status == status
    assert answer.header("cache-control") == "no-store"
    assert answer.header("etag") is None
