"""Paths and methods: the routes, and the refusals of all others."""

import pytest

from tests.http.answer import invalid, missing, refusal
from tests.http.api import Api

ONE = "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"
"""The methods of one user."""
ALL = "GET, HEAD, POST, PUT, OPTIONS"
"""The methods of the collection."""
READ = "GET, HEAD, OPTIONS"
"""The methods of the other paths."""

UNKNOWN = [
    "/",
    "//",
    "/api",
    "/api/",
    "/api/user",
    "/api/users.json",
    "/api/usersx",
    "/API/users/",
    "/api/Users/",
    "//api/users/",
    "/api//users/",
    "/api/users//",
    "/api/users/ada/x",
    "/api/users/ada//",
    "/api/users//ada",
    "/api/users/count/x",
    "/api/users/%2F/x",
    "/api%2Fusers/",
    "/api/./users/",
    "/api/users/../users/",
    "/healthz/x",
    "/health",
    "/favicon.ico",
    "/api/users/;x/y",
    "/%00",
    "/%FF",
    "/%",
    "/" + "x" * 20_000,
]


@pytest.mark.parametrize("path", UNKNOWN, ids=lambda path: path[:30])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS"])
def test_unknown_path(api: Api, method: str, path: str) -> None:
    """Every method gets 404 on an unknown path. The gateway never redirects."""
    answer = api.call(method, path, b"{}")
    assert refusal(answer, 404, "NotFoundError") == {}
    assert f" {path[:60]}" in str(answer.user["message"])
    assert "/api/users/" in str(answer.user["message"]).rpartition("; ")[2]


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/api/users", ALL),
        ("PATCH", "/api/users", ALL),
        ("POST", "/api/users/no-such-user", ONE),
        ("TRACE", "/api/users/no-such-user", ONE),
        ("PROPFIND", "/api/users/no-such-user", ONE),
        ("POST", "/api/users/count", READ),
        ("PUT", "/api/users/count", READ),
        ("PATCH", "/api/users/count", READ),
        ("DELETE", "/api/users/count", READ),
        ("DELETE", "/api/users/%63ount", READ),
        ("POST", "/healthz", READ),
        ("PUT", "/readyz", READ),
        ("DELETE", "/statusz", READ),
    ],
)
def test_wrong_method(api: Api, method: str, path: str, allowed: str, slash: str) -> None:
    """A method that a path does not support gets 405. `Allow` lists the supported ones."""
    answer = api.call(method, path + slash, b"{}")
    details = refusal(answer, 405, "InvalidRequestError")
    assert answer.header("allow") == allowed
    assert details == {"method": f"it takes one of {allowed}"}


def test_allowed_methods_are_supported(api: Api) -> None:
    """No method in the Allow header of a path gets 405 there."""
    for path, allowed in (
        ("/api/users/", ALL),
        ("/api/users/no-such-user", ONE),
        ("/healthz", READ),
    ):
        for method in allowed.split(", "):
            assert api.call(method, path, b"").status != 405


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/api/users", ALL),
        ("/api/users/no-such-user", ONE),
        ("/api/users/count", READ),
        ("/healthz", READ),
        ("/readyz", READ),
        ("/statusz", READ),
    ],
)
def test_options(api: Api, path: str, allowed: str) -> None:
    """OPTIONS gets 204 on every path, also with a query string, and `Allow` lists the methods."""
    for target in (path, f"{path}/", f"{path}?x=1"):
        answer = api.call("OPTIONS", target)
        assert (answer.status, answer.body) == (204, b"")
        assert answer.headers == [("allow", allowed)]


def test_trailing_slash_never_matters(api: Api) -> None:
    """Every path works the same with and without a trailing slash, and without a redirect."""
    user = api.valid()
    for slash in ("", "/"):
        path = f"/api/users/{user['id']}{slash}"
        made = api.call("POST", f"/api/users{slash}", user)
        assert (made.status, made.header("location")) == (201, f"/api/users/{user['id']}")
        assert api.call("GET", path).user == user
        assert api.call("HEAD", path).status == 200
        assert api.call("PUT", path, {"group": 1}).status == 200
        assert api.call("PATCH", path, {"group": 1}).status == 200
        assert api.call("PUT", f"/api/users{slash}", user).status == 200
        assert api.call("GET", f"/api/users{slash}?limit=1").status == 200
        assert api.call("GET", f"/api/users/count{slash}").status == 200
        assert api.call("GET", f"/healthz{slash}").status == 200
        assert api.call("GET", f"/readyz{slash}").status == 200
        assert api.call("DELETE", path).status == 204


def test_percent_encoded_id(api: Api) -> None:
    """A path may percent-encode all or some of an id, in upper or lower case."""
    user = api.make(id=f"{api.fresh()}.A~b@c:d+e-f_g")
    plain = str(user["id"])
    api.delete_later(plain)
    whole = "".join(f"%{byte:02X}" for byte in plain.encode())
    for encoded in (plain, whole, whole.lower(), plain.replace("@", "%40").replace("+", "%2B")):
        assert api.call("GET", f"/api/users/{encoded}").user == user
        assert api.call("PUT", f"/api/users/{encoded}/", {"group": 1}).user == user
    assert api.call("DELETE", f"/api/users/{whole}").status == 204
    missing(api.call("GET", f"/api/users/{plain}"))


def test_plus_is_a_plus(api: Api) -> None:
    """A plus sign in a path is a plus sign, not a space."""
    user = api.make(id=f"{api.fresh()}+plus")
    api.delete_later(str(user["id"]))
    assert api.call("GET", f"/api/users/{user['id']}").user == user


def test_decoded_once(api: Api) -> None:
    """The gateway decodes a path once: %2540 becomes %40, not @."""
    user = api.make(id=f"{api.fresh()}@x")
    api.delete_later(str(user["id"]))
    missing(api.call("GET", f"/api/users/{str(user['id']).replace('@', '%2540')}"))


def test_percent_encoded_prefix(api: Api) -> None:
    """A path may also percent-encode its fixed parts."""
    user = api.make()
    assert api.call("GET", f"/%61pi/user%73/{user['id']}").user == user
    assert api.call("GET", "/api/users/c%6Funt").user.keys() == {"count"}


IMPOSSIBLE = [
    "%2F",
    "ada%2Fx",
    "%2E%2E",
    "..",
    ".",
    "%",
    "%4",
    "%zz",
    "ada%",
    "ada%f",
    "%u0061",
    "%FF",
    "%C3%28",
    "%ED%A0%80",
    "%C0%AF",
    "%00",
    "ada%00",
    "ada%0A",
    "%C3%A9",
    "%F0%9F%98%80",
    "%EF%BF%BD",
    "ada%20lovelace",
    "ada;x=1",
    "ada,b",
    "'",
    "~ada",
    "-",
    "x" * 129,
    "x" * 30_000,
]


@pytest.mark.parametrize("id", IMPOSSIBLE, ids=lambda text: text[:24])
def test_impossible_id(api: Api, id: str) -> None:
    """For a malformed id in the path, GET and DELETE get 404, and PUT and PATCH get 400."""
    path = f"/api/users/{id}"
    for method in ("GET", "DELETE"):
        missing(api.call(method, path))
        missing(api.call(method, path, headers={"Idempotency-Key": "k"}))
    assert api.call("HEAD", path).status == 404
    for method in ("PUT", "PATCH"):
        assert set(invalid(api.call(method, path, {"group": 1}))) == {"id"}


def test_longest_id(api: Api) -> None:
    """The path of an id of 128 characters works. One character more gets 404."""
    user = api.make(id=api.fresh().ljust(128, "x"))
    path = f"/api/users/{user['id']}"
    assert api.call("GET", path).user == user
    missing(api.call("GET", f"{path}x"))
    assert api.call("DELETE", path).status == 204


def test_unknown_parameter(api: Api) -> None:
    """A request on one user with a query parameter gets 400 with its name, and changes nothing."""
    user = api.make(group=1)
    path = f"/api/users/{user['id']}"
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        answer = api.call(method, f"{path}?dry_run=1", {"group": 2})
        assert set(invalid(answer)) == {"dry_run"}
    assert set(invalid(api.call("POST", "/api/users/?dry_run=1", api.valid()))) == {"dry_run"}
    assert set(invalid(api.call("GET", "/api/users/count?group=1"))) == {"group"}
    assert set(invalid(api.call("GET", "/api/users/?email=a&name=b"))) == {"email", "name"}
    assert api.call("GET", f"{path}?").user == user


def test_absolute_form(api: Api) -> None:
    """A request line may have the whole URL in place of the path."""
    user = api.make()
    line = f"GET http://{api.host}:{api.port}/api/users/{user['id']} HTTP/1.1\r\n"
    (answer,) = api.raw(f"{line}Host: {api.host}\r\n\r\n".encode())
    assert answer.user == user


@pytest.mark.parametrize(("path", "key"), [("/healthz", "healthy"), ("/readyz", "ready")])
def test_health(api: Api, path: str, key: str) -> None:
    """A healthy system answers the health checks with 200 and JSON."""
    answer = api.call("GET", path)
    assert answer.status == 200
    assert answer.user[key] is True
    assert set(answer.user) <= {key, "verdict"}
