from base64 import b64decode
from pathlib import Path

import msgspec
import pytest

from bench.keys import Keys
from bench.plan import MARK, PLAIN_DIGITS, Call, End, Plan
from bench.targets.etcd import EtcdDialect
from bench.targets.users_api import UsersApiDialect
from bench.users import Generator
from bench.workload import Dialect, Operation, create, plan, remove

USERS = Generator().take(50)


def spelled(text: bytes, serial: int, digits: tuple[bytes, ...]) -> bytes:
    """Replace a mark as `replay.lua` does."""
    groups = (serial // 1_000_000 % 1000, serial // 1000 % 1000, serial % 1000)
    return text.replace(MARK, b"".join(digits[group] for group in groups))


def test_a_call_becomes_a_request() -> None:
    """A call becomes one complete HTTP request."""
    request_bytes = Call("PUT", b"/api/users/ada", b'{"group":2}').encode("127.0.0.1:80", 9)
    assert request_bytes == (
        b"PUT /api/users/ada HTTP/1.1\r\nHost: 127.0.0.1:80\r\n"
        b'Content-Type: application/json\r\nContent-Length: 11\r\n\r\n{"group":2}'
    )


@pytest.mark.parametrize("dialect", [UsersApiDialect(), EtcdDialect()], ids=["users-api", "etcd"])
def test_content_length_counts_serial_numbers(dialect: Dialect) -> None:
    """The Content-Length fits the request after its mark is replaced."""
    call = create(dialect, USERS, 0, seed=1).calls[0]
    request_bytes = spelled(
        call.encode("127.0.0.1:80", 3 * len(dialect.digits[0])), 7, dialect.digits
    )
    head, _, body = request_bytes.partition(b"\r\n\r\n")
    assert b"Content-Length: %d" % len(body) in head


def test_etcd_gets_serial_numbers_in_base64() -> None:
    """The key and the value of a new user decode to the same serial number."""
    dialect = EtcdDialect()
    body = create(dialect, USERS, 0, seed=1).calls[0].body
    assert body is not None
    request = msgspec.json.decode(spelled(body, 12_345_678, dialect.digits))
    put = request["success"][0]["request_put"]
    assert b64decode(put["key"]) == b"/users/u-012345678"
    assert msgspec.json.decode(b64decode(put["value"]))["id"] == "u-012345678"
    assert b64decode(request["compare"][0]["key"]) == b"/users/u-012345678"


def test_delete_removes_the_users_of_post() -> None:
    """The deleting plan uses the serial numbers of the creating one, and stops."""
    creation = create(UsersApiDialect(), USERS, 500, seed=1)
    removal = remove(UsersApiDialect(), USERS[0], 500, 20)
    first = creation.first_serial
    assert (removal.first_serial, removal.limit, removal.end) == (first, 20, End.STOP)
    assert spelled(removal.calls[0].path, 500, PLAIN_DIGITS) == b"/api/users/u-000000500"


def test_the_mix_has_five_percent_writes() -> None:
    """One of twenty requests of the mixed load is a PUT."""
    calls = plan(UsersApiDialect(), Operation.MIX, Keys.UNIFORM, USERS, [], seed=1).calls
    writes = sum(call.method == "PUT" for call in calls)
    assert 0.04 < writes / len(calls) < 0.06


def test_a_put_changes_one_field() -> None:
    """A PUT has exactly one of the three fields, and each field occurs."""
    calls = plan(UsersApiDialect(), Operation.PUT, Keys.UNIFORM, USERS, [], seed=1).calls
    bodies = [msgspec.json.decode(call.body or b"", type=dict[str, object]) for call in calls]
    assert {len(body) for body in bodies} == {1}
    assert {name for body in bodies for name in body} == {"name", "email", "group"}


def test_format_of_the_file(tmp_path: Path) -> None:
    """A plan's file has its end, its numbers, and every request after its length."""
    path = tmp_path / "plan"
    calls = (Call("GET", b"/a"), Call("GET", b"/bc"))
    Plan(calls, End.STOP, 9, first_serial=4, filler=Call("GET", b"/f")).write(path, "h:1")
    end, numbers, digits, requests = path.read_bytes().split(b"\n", 3)
    assert (end, numbers, digits.split()[42]) == (b"stop", b"9 4 2", b"042")
    found = []
    while requests:
        length, _, requests = requests.partition(b"\n")
        found.append(requests[: int(length)])
        requests = requests[int(length) + 1 :]
    assert found == [b"GET %s HTTP/1.1\r\nHost: h:1\r\n\r\n" % at for at in (b"/f", b"/a", b"/bc")]
