"""The nodes of a cluster, as the settings list them."""

import re
from dataclasses import dataclass

from ddb.settings.values import HOST, LAST_PORT, RawValue

MIN_NODES = 3
"""Lower: a record could not have two homes and a standby."""
MAX_NODES = 255
"""Higher: every node has a link to every other one, so links grow with the square."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PORT_DIGITS = len(str(LAST_PORT))


@dataclass(frozen=True, slots=True)
class Member:
    """One node of the cluster, and the address at which the others reach it."""

    name: str
    host: str
    port: int


def numbered_members(count: int, port: int) -> tuple[Member, ...]:
    """Return the members db-0, db-1, ...; each name is also the host."""
    return tuple(Member(f"db-{number}", f"db-{number}", port) for number in range(count))


def listed_members(raw: RawValue) -> tuple[Member, ...]:
    """Parse `name=host:port,...`; an empty text gives no members."""
    if not raw.text:
        return ()
    members = tuple(_member(raw, entry.strip()) for entry in raw.text.split(","))
    if not MIN_NODES <= len(members) <= MAX_NODES:
        raw.refuse(f"a cluster has {MIN_NODES} to {MAX_NODES} nodes, not {len(members)}")
    names = [member.name for member in members]
    for name in names:
        if names.count(name) > 1:
            raw.refuse(f"{name} is in the list more than once")
    addresses = [(member.host, member.port) for member in members]
    for host, port in addresses:
        if addresses.count((host, port)) > 1:
            raw.refuse(f"two nodes cannot share the address {host}:{port}")
    return members


def _member(raw: RawValue, entry: str) -> Member:
    name, equals, address = entry.partition("=")
    host, colon, port = address.rpartition(":")
    if not equals or not colon:
        raw.refuse(f"{entry!r} is not name=host:port")
    if not _NAME.fullmatch(name):
        raw.refuse(f"{name!r} is not a valid name of a node")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not HOST.fullmatch(host):
        raw.refuse(f"{host!r} is not a valid host")
    if not _is_port(port):
        raw.refuse(f"{port!r} in {entry!r} is not a port")
    return Member(name, host, int(port))


def _is_port(text: str) -> bool:
    digits = text.isascii() and text.isdigit() and len(text) <= _PORT_DIGITS
    return digits and 1 <= int(text) <= LAST_PORT
