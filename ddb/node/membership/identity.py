"""What a node knows of itself, on its disk: whose data this is, and how far it has come."""

import random
from enum import IntEnum

import msgspec

from ddb.node.storage.store import Family, Store

IDENTITY_KEY = b"identity"
CLUSTER_ID_BYTES = 8


class Stage(IntEnum):
    """A node's way into a cluster. Only a READY node votes."""

    BLANK = 0
    """Its disk is new: it has no part in any cluster, or has lost it."""
    FOUNDING = 1
    """It has agreed to a cluster in which nothing has been written yet."""
    READY = 2
    OUTDATED = 3
    """Its disk is of an earlier time: it keeps the rows and has no vote until it is refilled."""


class Identity(msgspec.Struct, frozen=True):
    """`node_id` names this store in dots: minted with it, and never used by another.

    `discards`: the rows are of an earlier node id, and go before the node takes part in anything.
    """

    name: str
    names: tuple[str, ...]
    node_id: int
    stage: Stage
    cluster: bytes
    discards: bool = False


class ForeignData(Exception):
    """The data directory belongs to another node or cluster; nothing in it was changed."""


def recall(store: Store, name: str, names: tuple[str, ...]) -> Identity | None:
    """The identity on this disk, None on a new one. Raises `ForeignData`."""
    found = store.get(Family.META, IDENTITY_KEY)
    if found is None:
        return None
    identity = msgspec.json.decode(found, type=Identity)
    check_owner(identity.name, identity.names, name, names)
    return identity


def check_owner(owner: str, made_for: tuple[str, ...], name: str, names: tuple[str, ...]) -> None:
    """Raises `ForeignData` unless data of `owner` in a cluster of `made_for` is this node's."""
    if owner != name:
        raise ForeignData(
            f"the data directory belongs to {owner}, not to {name}:"
            " give each node its own directory"
        )
    if made_for != names:
        raise ForeignData(
            f"the data directory was made for the nodes {', '.join(made_for)}, not for"
            f" {', '.join(names)}: the set of nodes cannot be changed by configuration"
        )


def mint(name: str, names: tuple[str, ...], rng: random.Random) -> Identity:
    """The identity of a new disk; id 0 is nobody's."""
    return Identity(name, names, rng.randrange(1, 2**32), Stage.BLANK, b"")


async def keep(store: Store, identity: Identity) -> None:
    """Write an identity durably. Raises `StoreFailed`."""
    await store.commit([(Family.META, IDENTITY_KEY, msgspec.json.encode(identity))])
