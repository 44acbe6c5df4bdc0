"""GET /api/users/count: the number of users."""

import time

from tests.http.answer import invalid
from tests.http.api import Api

ATTEMPTS = 50
"""Lower: other clients' changes fail the test. Higher: a real failure shows later."""


def count(api: Api) -> int:
    answer = api.call("GET", "/api/users/count")
    assert answer.status == 200
    body = answer.user
    assert list(body) == ["count"]
    number = body["count"]
    assert type(number) is int
    return number


def test_count_follows_every_change(api: Api) -> None:
    """A POST raises the count by one, a DELETE lowers it by one, and nothing else changes it."""
    for _ in range(ATTEMPTS):
        user = api.valid()
        path = f"/api/users/{user['id']}"
        counts = [count(api)]
        for method, target, body in (
            ("POST", "/api/users/", user),
            ("POST", "/api/users/", user),
            ("PUT", path, {"group": 2}),
            ("DELETE", path, None),
            ("DELETE", path, None),
            ("PUT", path, {"group": 2}),
        ):
            api.call(method, target, body)
            counts.append(count(api))
        if [number - counts[0] for number in counts] == [0, 1, 1, 1, 0, 0, 0]:
            return
        # Another client may have created or deleted a user.
        time.sleep(0.05)
    is_only_client = len({count(api) for _ in range(ATTEMPTS)}) == 1
    assert not is_only_client, f"the last counts were {counts}"


def test_takes_no_parameter(api: Api) -> None:
    """COUNT with parameters gets 400 with the name of each."""
    assert set(invalid(api.call("GET", "/api/users/count?limit=0&offset=x"))) == {
        "limit",
        "offset",
    }
    assert api.call("GET", "/api/users/count?").status == 200
