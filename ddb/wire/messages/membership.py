"""Formation of a cluster."""

from ddb.wire.messages.base import Message


class Form(Message, tag=24, frozen=True):
    """The founder of a new cluster asks a blank node to join `cluster`."""

    writes_disk = False
    before_ready = True

    cluster: bytes


class Membership(Message, tag=25, frozen=True):
    """Ask for the stage that a node has reached in joining a cluster."""

    writes_disk = False
    before_ready = True


class Member(Message, tag=55, frozen=True):
    """The reply to `Form` or `Membership`: a stage of `node.membership.identity`.

    `counter` is the node's hybrid clock, at or above every ballot that it has observed. `votes`:
    True if the node is READY and its peers have confirmed its disk since it started. False: it does
    not count as an acceptor yet. `whole`: True if it can read every copy that it should have.
    """

    stage: int
    cluster: bytes
    counter: int
    votes: bool
    whole: bool
