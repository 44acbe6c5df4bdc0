"""Whose data directory this is, in a file beside the store that can be read without opening it.

To open a store is to write to it, so a node that was given another's directory must find out
before. The file is written once the store itself holds the identity, and never changes.
"""

from pathlib import Path

import msgspec

from ddb.node.membership.identity import ForeignData, Identity, check_owner
from ddb.runtime.atomic_file import replace_file

_NAME = "owner.json"


class Owner(msgspec.Struct, frozen=True):
    """The node that a directory belongs to, and the set of nodes it was made for."""

    name: str
    names: tuple[str, ...]


def claimed(directory: Path, name: str, names: tuple[str, ...]) -> bool:
    """Whether `directory` already belongs to this node. Raises `ForeignData`; writes nothing."""
    path = directory / _NAME
    try:
        owner = msgspec.json.decode(path.read_bytes(), type=Owner)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ForeignData(
            f"{path} cannot be read: {error}. Whose data this is cannot be told: give this node"
            " its own directory, or an empty one, which is refilled from the others"
        ) from error
    check_owner(owner.name, owner.names, name, names)
    return True


def claim(directory: Path, identity: Identity) -> None:
    """Write down whose directory this is. Raises OSError."""
    owner = Owner(identity.name, identity.names)
    replace_file(directory / _NAME, msgspec.json.encode(owner))
