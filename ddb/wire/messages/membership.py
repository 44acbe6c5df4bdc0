"""Formation of a cluster."""

from ddb.wire.messages.base import Message


class Form(Message, tag=24, frozen=True):
    """Formation of a new cluster: the founder asks a blank node to join `cluster`."""

    writes_disk = False
    before_ready = True

    cluster: bytes


class Membership(Message, tag=25, frozen=True):
    """Ask how far a node has come in joining a cluster."""

    writes_disk = False
    before_ready = True


class Member(Message, tag=55, frozen=True):
    """Answers Form and Membership: a stage (`ddb.node.membership.identity`) and the cluster's id.

    `counter` is the node's hybrid clock: at or above every ballot it has seen. `votes`: whether it
    is READY, and its peers have found nothing against its disk since it started.
    """

    stage: int
    cluster: bytes
    counter: int
    votes: bool
