"""The identity of a node on its disk: name, node id, cluster and stage."""

import random
from enum import IntEnum

import msgspec

from ddb.node.storage.store import Family, Put, Store

IDENTITY_KEY = b"identity"
CLUSTER_ID_BYTES = 8
"""Random bytes of a cluster's id. Too low: two clusters may have the same."""


class Stage(IntEnum):
    """The stages of a node on its way into a cluster. Only a READY node votes."""

    BLANK = 0
    """The disk is new: the node never had a share, or has lost it."""
    FOUNDING = 1
    """The node has joined a new cluster that has no records yet."""
    READY = 2
    """The node has its share."""
    OUTDATED = 3
    """The disk is of an earlier time: the node keeps the rows, and may not vote before a refill."""


class Identity(msgspec.Struct, frozen=True):
    """The identity that a store contains."""

    name: str
    names: tuple[str, ...]
    """All nodes of the cluster, sorted."""
    node_id: int
    """Names this store in dots. A new store gets a new one; no other store uses it."""
    stage: Stage
    cluster: bytes
    """The cluster's id; empty before the node joins one."""
    discards: bool = False
    """True where the rows belong to an earlier node id, so that the next start deletes them. False
    where they belong to this one."""


class ForeignData(Exception):
    """The data directory belongs to another node or cluster. It is unchanged."""


def recall(store: Store, name: str, names: tuple[str, ...]) -> Identity | None:
    """Read the identity of this disk, None on a new one. Raises `ForeignData`."""
    found = store.get(Family.META, IDENTITY_KEY)
    if found is None:
        return None
    identity = msgspec.json.decode(found, type=Identity)
    check_owner(identity.name, identity.names, name, names)
    return identity


def check_owner(owner: str, made_for: tuple[str, ...], name: str, names: tuple[str, ...]) -> None:
    """Compare the owner of a data directory with this node's configuration.

    Args:
        owner: the node that the directory belongs to.
        made_for: the nodes of its cluster, sorted.
        name: this node.
        names: the configured nodes, sorted.

    Raises:
        ForeignData: they differ.
    """
    if owner != name:
        raise ForeignData(
            f"the data directory belongs to {owner}, not to {name}. Nothing in it was changed;"
            " give each node its own directory"
        )
    if made_for != names:
        raise ForeignData(
            f"the data directory was made for the nodes {', '.join(made_for)}, not for"
            f" {', '.join(names)}. Nothing in it was changed; the set of nodes cannot be changed by"
            " configuration, so configure the former nodes"
        )


def mint(name: str, names: tuple[str, ...], rng: random.Random) -> Identity:
    """Make the identity of a new disk. No node has the id 0."""
    return Identity(name, names, rng.randrange(1, 2**32), Stage.BLANK, b"")


def identity_put(identity: Identity) -> Put:
    """Return the write that stores an identity."""
    return (Family.META, IDENTITY_KEY, msgspec.json.encode(identity))


async def keep(store: Store, identity: Identity) -> None:
    """Write an identity durably. Raises `StoreFailed`."""
    await store.commit([identity_put(identity)])
