"""etcd as a target: three members, loaded through the leader."""

import json
import shutil
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench.machine import first_line_of
from bench.plan import GROUPS, MARK, PLAIN_DIGITS, Call, End, Plan
from bench.targets.target import NotInstalled, TargetFailed, end, fetch, spawn, wait_for_answer
from bench.users import User
from bench.workload import PAGE, Operation
from bench.wrk import Wrk
from tests.cluster import free_ports

MEMBERS = 3
PREFIX = b"/users/"
"""The start of each key. With the `u-` of new ids it has nine bytes, which is a multiple of three.

The serial number after it therefore begins at a whole base64 digit.
"""
AFTER = b"/users0"
"""The first key after every one that starts with PREFIX."""
_USERS_PER_TXN = 100
"""Users of one loading transaction. Higher: etcd refuses more than 128."""


@dataclass(frozen=True, slots=True)
class EtcdDialect:
    """The v3 API as JSON. A record is a key whose value is the user's JSON.

    etcd cannot update one field, so a PUT sends the whole value and reads nothing. That is less
    work than the other systems do.
    """

    digits: tuple[bytes, ...] = tuple(b64encode(digits) for digits in PLAIN_DIGITS)

    def get(self, id: str) -> Call:
        """See `Dialect.get`. A linearizable read, the default of etcd."""
        return Call("POST", b"/v3/kv/range", b'{"key":"%b"}' % _key(id))

    def put(self, user: User, field: str) -> Call:
        """See `Dialect.put`. The call sets the whole value."""
        del field
        return Call("POST", b"/v3/kv/put", _pair(user))

    def post(self, user: User) -> Call:
        """See `Dialect.post`. A transaction that requires the key's absence."""
        compare = b'{"target":"CREATE","create_revision":"0","key":"%b"}' % _key(user.id)
        body = b'{"compare":[%b],"success":[{"request_put":%b}]}' % (compare, _pair(user))
        return Call("POST", b"/v3/kv/txn", body)

    def delete(self, id: str) -> Call:
        """See `Dialect.delete`."""
        return Call("POST", b"/v3/kv/deleterange", b'{"key":"%b"}' % _key(id))

    def page(self, place: str) -> Call:
        """See `Dialect.page`. A place is an id."""
        body = b'{"key":"%b","range_end":"%b","limit":"%d"}'
        return Call("POST", b"/v3/kv/range", body % (_key(place), b64encode(AFTER), PAGE))

    def count(self) -> Call:
        """See `Dialect.count`."""
        body = b'{"key":"%b","range_end":"%b","count_only":true}'
        return Call("POST", b"/v3/kv/range", body % (b64encode(PREFIX), b64encode(AFTER)))

    def user(self, answer: bytes) -> User:
        """See `Dialect.user`."""
        value = json.loads(answer)["kvs"][0]["value"]
        return msgspec.json.decode(b64decode(value), type=User)


class Etcd:
    """Three members on this machine."""

    name = "etcd"
    durability = "two members of three, fsync on both"
    operations = frozenset(Operation)
    dialect = EtcdDialect()

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._members: list[subprocess.Popen[bytes]] = []
        self._hosts: list[str] = []
        self._leader = ""

    @property
    def host(self) -> str:
        """See `Target.host`. The leader's address saves etcd the forwarding."""
        return self._leader

    @property
    def roots(self) -> list[int]:
        """See `Target.roots`."""
        return [member.pid for member in self._members]

    def version(self) -> str:
        """See `Target.version`."""
        return first_line_of("etcd", "--version").replace(" Version:", "")

    def start(self) -> None:
        """See `Target.start`."""
        if shutil.which("etcd") is None:
            raise NotInstalled("etcd is not installed. On Debian: apt-get install etcd-server")
        ports = free_ports(2 * MEMBERS)
        self._hosts = [f"127.0.0.1:{ports + number}" for number in range(MEMBERS)]
        peers = [f"http://127.0.0.1:{ports + MEMBERS + number}" for number in range(MEMBERS)]
        cluster = ",".join(f"m{number}={peer}" for number, peer in enumerate(peers))
        for number, (host, peer) in enumerate(zip(self._hosts, peers, strict=True)):
            command = [
                *("etcd", "--name", f"m{number}", "--logger", "zap", "--log-level", "warn"),
                *("--data-dir", str(self._directory / f"m{number}")),
                *("--listen-client-urls", f"http://{host}"),
                *("--advertise-client-urls", f"http://{host}"),
                *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
                *("--initial-cluster", cluster, "--initial-cluster-state", "new"),
            ]
            self._members.append(spawn(command, self._directory / f"m{number}.log"))
        for number, host in enumerate(self._hosts):
            log = self._directory / f"m{number}.log"
            wait_for_answer(self._members[number], f"http://{host}/health", log)
        self._leader = next(filter(_leads, self._hosts), self._hosts[0])

    def load(self, users: Sequence[User]) -> None:
        """See `Target.load`. One transaction has `_USERS_PER_TXN` users."""
        calls = []
        for start in range(0, len(users), _USERS_PER_TXN):
            puts = (
                b'{"request_put":%b}' % _pair(user)
                for user in users[start : start + _USERS_PER_TXN]
            )
            calls.append(Call("POST", b"/v3/kv/txn", b'{"success":[%b]}' % b",".join(puts)))
        plan = Plan(tuple(calls), End.FILL, len(calls))
        done = Wrk.find().run(plan, self.host)
        body = self.dialect.count().body
        counted = json.loads(fetch(f"http://{self.host}/v3/kv/range", body)).get("count", "0")
        if done.failures or int(counted) != len(users):
            raise TargetFailed(f"etcd has {counted} of {len(users)} users after loading: {done}")

    def places(self, users: Sequence[User], count: int) -> list[str]:
        """See `Target.places`."""
        return [user.id for user in users[:: max(1, len(users) // count)]]

    def stop(self) -> None:
        """See `Target.stop`."""
        for member in self._members:
            end(member)


def _leads(host: str) -> bool:
    status = json.loads(fetch(f"http://{host}/v3/maintenance/status", b"{}"))
    return bool(status["leader"] == status["header"]["member_id"])


def _key(id: str) -> bytes:
    return _base64(PREFIX + id.encode())


def _pair(user: User) -> bytes:
    return b'{"key":"%b","value":"%b"}' % (_key(user.id), _base64(user.body()))


def _base64(text: bytes) -> bytes:
    """Encode in base64, except for a mark.

    `replay.lua` replaces the mark by digits in base64.
    """
    before, mark, after = text.partition(MARK)
    if not mark:
        return b64encode(text)
    if len(before) % GROUPS:
        raise ValueError(f"the mark in {text!r} does not follow a multiple of three bytes")
    return b64encode(before) + MARK + b64encode(after)
