"""GET and HEAD of one user."""

import pytest

from tests.http.answer import invalid, missing, refusal
from tests.http.api import Api


def test_found(api: Api) -> None:
    """A GET gets 200 with the user and its entity tag."""
    user = api.make()
    answer = api.call("GET", f"/api/users/{user['id']}")
    assert (answer.status, answer.user) == (200, user)
    assert answer.etag


def test_not_found(api: Api) -> None:
    """A GET of a user that does not exist gets 404."""
    missing(api.call("GET", f"/api/users/{api.fresh()}"))


def test_error_of_not_found_is_as_documented(api: Api) -> None:
    """The body of the 404 is the documented one, byte for byte."""
    answer = api.call("GET", f"/api/users/{api.fresh()}")
    assert answer.body == b'{"name":"NotFoundError","message":"User not found"}'


def test_deleted_is_not_found(api: Api) -> None:
    """A GET after a DELETE gets 404."""
    user = api.make()
    api.call("DELETE", f"/api/users/{user['id']}")
    missing(api.call("GET", f"/api/users/{user['id']}"))


@pytest.mark.parametrize(
    "path", ["/api/users/{id}", "/api/users/", "/api/users/count", "/healthz", "/readyz"]
)
def test_head_is_a_get_without_the_body(api: Api, path: str) -> None:
    """A HEAD gets the status and the headers of the GET, and no body."""
    path = path.format(id=api.make()["id"])
    for _ in range(20):
        before, head, after = (api.call(method, path) for method in ("GET", "HEAD", "GET"))
        if before == after:
            break
    assert (head.status, head.body) == (before.status, b"")
    assert head.headers == before.headers


@pytest.mark.parametrize("path", ["/nothing", "/api/users/no-such-user"])
def test_head_of_nothing(api: Api, path: str) -> None:
    """A HEAD of an unknown path or user gets 404, the headers of the GET, and no body."""
    get, head = api.call("GET", path), api.call("HEAD", path)
    assert (head.status, head.body, head.headers) == (404, b"", get.headers)


def test_head_of_a_bad_request(api: Api) -> None:
    """An invalid HEAD gets the status and the headers of the GET, and no body."""
    get, head = (api.call(method, "/api/users/?limit=0") for method in ("GET", "HEAD"))
    assert (head.status, head.body, head.headers) == (400, b"", get.headers)


def test_not_modified(api: Api) -> None:
    """If-None-Match with the user's tag gets 304 with the tag, and no body or content type."""
    path = f"/api/users/{api.make()['id']}"
    tag = api.call("GET", path).etag
    for method in ("GET", "HEAD"):
        answer = api.call(method, path, headers={"If-None-Match": tag})
        assert (answer.status, answer.body, answer.etag) == (304, b"", tag)
        assert answer.header("content-type") is None


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ("*", 304),
        ("W/{tag}", 304),
        ('"0123456789abcdef", {tag}', 304),
        ('  W/"x" ,\t{tag}', 304),
        (',, {tag},, "x",', 304),
        ('"0123456789abcdef"', 200),
        ('W/"0123456789abcdef"', 200),
        ('"a,b", "*", "", "é"', 200),
    ],
)
def test_if_none_match(api: Api, condition: str, status: int) -> None:
    """If-None-Match accepts `*` and lists of tags, and compares strong and weak tags weakly."""
    path = f"/api/users/{api.make()['id']}"
    tag = api.call("GET", path).etag
    headers = {"If-None-Match": condition.format(tag=tag)}
    assert api.call("GET", path, headers=headers).status == status


def test_if_none_match_in_several_lines(api: Api) -> None:
    """Several If-None-Match headers are one list."""
    path = f"/api/users/{api.make()['id']}"
    headers = {"If-None-Match": ['"x"', api.call("GET", path).etag]}
    assert api.call("GET", path, headers=headers).status == 304


@pytest.mark.parametrize("condition", ["abc", '"abc', 'W"abc"', '*, "x"', '"a" "b"', "", ","])
def test_if_none_match_malformed(api: Api, condition: str) -> None:
    """An If-None-Match that is not a list of entity tags gets 400 with the header's name."""
    path = f"/api/users/{api.make()['id']}"
    answer = api.call("GET", path, headers={"If-None-Match": condition})
    assert set(invalid(answer)) == {"If-None-Match"}


def test_if_none_match_without_a_user(api: Api) -> None:
    """A GET of a user that does not exist gets 404, even with `If-None-Match: *`."""
    path = f"/api/users/{api.fresh()}"
    missing(api.call("GET", path, headers={"If-None-Match": "*"}))


def test_if_match_on_a_read(api: Api) -> None:
    """A GET with If-Match gets 412 if the tag is not the user's current one."""
    path = f"/api/users/{api.make()['id']}"
    tag = api.call("GET", path).etag
    for good in (tag, "*", f'"x", {tag}'):
        assert api.call("GET", path, headers={"If-Match": good}).status == 200
    for bad in ('"0123456789abcdef"', f"W/{tag}"):
        answer = api.call("GET", path, headers={"If-Match": bad})
        refusal(answer, 412, "ConflictError")


def test_tag_follows_the_content(api: Api) -> None:
    """Different content of a user has different tags. Equal content has the same tag."""
    path = f"/api/users/{api.make(group=1)['id']}"
    first = api.call("GET", path).etag
    second = api.call("PUT", path, {"group": 2}).etag
    third = api.call("PUT", path, {"group": 1}).etag
    assert first != second
    assert first == third
