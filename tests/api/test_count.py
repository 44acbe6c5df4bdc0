"""GET /api/users/count."""

import time

from tests.api.client import Api, invalid

ATTEMPTS = 50


def count(api: Api) -> int:
    answer = api.call("GET", "/api/users/count")
    assert answer.status == 200
    body = answer.user
    assert list(body) == ["count"]
    number = body["count"]
    assert type(number) is int
    return number


def test_count_follows_every_change(api: Api) -> None:
    """The count rises by one with a POST, falls by one with a DELETE and at nothing else."""
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
        # Somebody else may be making users too.
        time.sleep(0.05)
    alone = len({count(api) for _ in range(ATTEMPTS)}) == 1
    assert not alone, f"the last counts were {counts}"


def test_takes_no_parameter(api: Api) -> None:
    """COUNT takes no parameter, and names the first one that it gets."""
    assert set(invalid(api.call("GET", "/api/users/count?limit=0&offset=x"))) == {"limit"}
    assert api.call("GET", "/api/users/count?").status == 200
