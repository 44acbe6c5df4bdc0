from base64 import b64decode
from pathlib import Path

import msgspec
import pytest

from bench.keys import Keys
from bench.plan import MARK, PLAIN_DIGITS, Call, End, Plan
from bench.targets.etcd import EtcdDialect
from bench.targets.rest import Rest
from bench.users import Generator
from bench.workload import Dialect, Operation, create, plan, remove

USERS = Generator().take(50)


def spelled(text: bytes, serial: int, digits: tuple[bytes, ...]) -> bytes:
    """What replay.lua makes of a mark."""
    groups = (serial // 1_000_000 % 1000, serial // 1000 % 1000, serial % 1000)
    return text.replace(MARK, b"".join(digits[group] for group in groups))


def test_a_call_becomes_a_request() -> None:
    """A call is written as one complete HTTP request."""
    wire = Call("PUT", b"/api/users/ada", b'{"group":2}').wire("127.0.0.1:80", 9)
    assert wire == (
        b"PUT /api/users/ada HTTP/1.1\r\nHost: 127.0.0.1:80\r\n"
        b'Content-Type: application/json\r\nContent-Length: 11\r\n\r\n{"group":2}'
    )


@pytest.mark.parametrize("dialect", [Rest(), EtcdDialect()], ids=["rest", "etcd"])
def test_content_length_counts_serial_numbers(dialect: Dialect) -> None:
    """With its serial number in place a request is as long as it says."""
    call = create(dialect, USERS, 0, seed=1).calls[0]
    wire = spelled(call.wire("127.0.0.1:80", 3 * len(dialect.digits[0])), 7, dialect.digits)
    head, _, body = wire.partition(b"\r\n\r\n")
    assert b"Content-Length: %d" % len(body) in head


def test_etcd_gets_serial_numbers_in_base64() -> None:
    """A new user's key and value hold the same plain serial number once base64 is undone."""
    dialect = EtcdDialect()
    body = create(dialect, USERS, 0, seed=1).calls[0].body
    assert body is not None
    request = msgspec.json.decode(spelled(body, 12_345_678, dialect.digits))
    put = request["success"][0]["request_put"]
    assert b64decode(put["key"]) == b"/users/u-012345678"
    assert msgspec.json.decode(b64decode(put["value"]))["id"] == "u-012345678"
    assert b64decode(request["compare"][0]["key"]) == b"/users/u-012345678"


def test_delete_takes_away_what_post_made() -> None:
    """The deleting plan goes over the same serial numbers as the creating one, and stops."""
    made = create(Rest(), USERS, 500, seed=1)
    gone = remove(Rest(), USERS[0], 500, 20)
    assert (gone.first_serial, gone.limit, gone.end) == (made.first_serial, 20, End.STOP)
    assert spelled(gone.calls[0].path, 500, PLAIN_DIGITS) == b"/api/users/u-000000500"


def test_the_mix_reads_mostly() -> None:
    """The mixed load writes once in twenty requests."""
    calls = plan(Rest(), Operation.MIX, Keys.UNIFORM, USERS, [], seed=1).calls
    writes = sum(call.method == "PUT" for call in calls)
    assert 0.04 < writes / len(calls) < 0.06


def test_a_put_changes_one_field() -> None:
    """A PUT holds exactly one of the three fields, each of them in its turn."""
    calls = plan(Rest(), Operation.PUT, Keys.UNIFORM, USERS, [], seed=1).calls
    bodies = [msgspec.json.decode(call.body or b"", type=dict[str, object]) for call in calls]
    assert {len(body) for body in bodies} == {1}
    assert {name for body in bodies for name in body} == {"name", "email", "group"}


def test_the_file_gives_lengths_first(tmp_path: Path) -> None:
    """A plan's file says how it ends, then every request after its length, the filler first."""
    path = tmp_path / "plan"
    calls = (Call("GET", b"/a"), Call("GET", b"/bc"))
    Plan(calls, End.STOP, 9, first_serial=4, filler=Call("GET", b"/f")).write(path, "h:1")
    finish, numbers, digits, rest = path.read_bytes().split(b"\n", 3)
    assert (finish, numbers, digits.split()[42]) == (b"stop", b"9 4 2", b"042")
    found = []
    while rest:
        length, _, rest = rest.partition(b"\n")
        found.append(rest[: int(length)])
        rest = rest[int(length) + 1 :]
    assert found == [b"GET %s HTTP/1.1\r\nHost: h:1\r\n\r\n" % at for at in (b"/f", b"/a", b"/bc")]
