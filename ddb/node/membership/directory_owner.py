"""The owner file of a data directory, readable without opening the store.

To open a store is to write to it. So a node that is configured with another node's directory must
detect that first. The node writes the file once its store has the identity, and never changes it.
"""

from pathlib import Path

import msgspec

from ddb.node.membership.identity import ForeignData, Identity, check_owner
from ddb.runtime.atomic_file import replace_file

_NAME = "owner.json"


class Owner(msgspec.Struct, frozen=True):
    """The node that owns a directory, and the set of nodes in its cluster."""

    name: str
    names: tuple[str, ...]


def claimed(directory: Path, name: str, names: tuple[str, ...]) -> bool:
    """Whether this node owns `directory`; False where it has no owner. Writes nothing.

    Raises:
        ForeignData: another node owns it, or the owner file is unreadable.
    """
    path = directory / _NAME
    try:
        owner = msgspec.json.decode(path.read_bytes(), type=Owner)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ForeignData(
            f"{path} cannot be read: {error}. The owner of this data is uncertain, and nothing in"
            " the directory was changed. Give this node its own directory, or an empty one; it"
            " refills from the others"
        ) from error
    check_owner(owner.name, owner.names, name, names)
    return True


def claim(directory: Path, identity: Identity) -> None:
    """Write the owner file. Raises `OSError`."""
    owner = Owner(identity.name, identity.names)
    replace_file(directory / _NAME, msgspec.json.encode(owner))
