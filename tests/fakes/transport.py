"""A `Transport` whose replies a test decides."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from ddb.node.replica.acceptor import Acceptor
from ddb.wire.messages import Accept, Propose, ReadReplica, Reply, Request
from ddb.wire.ports import Condition, Silent, Unreachable


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, as the transport got it."""

    to: str
    request: Request
    timeout_s: float


Replies = Callable[[Asked], Reply | Exception | Awaitable[Reply]]
"""Makes the reply to a request: at once, as an error, or later."""


class FakeTransport:
    """A `Transport` that records each request and takes its reply from the test.

    A node without an entry in `conditions` is UP.
    """

    def __init__(self, replies: Replies, conditions: Mapping[str, Condition] | None = None) -> None:
        self.replies = replies
        self.conditions = dict(conditions or {})
        self.asked: list[Asked] = []

    def ask(
        self, to: str, request: Request, *, deadline: float, timeout_s: float
    ) -> asyncio.Future[Reply]:
        """Implement `Transport.ask`."""
        del deadline
        asked = Asked(to, request, timeout_s)
        self.asked.append(asked)
        answer = self.replies(asked)
        if inspect.isawaitable(answer):
            return asyncio.ensure_future(answer)
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        if isinstance(answer, Exception):
            reply.set_exception(answer)
        else:
            reply.set_result(answer)
        return reply

    def condition(self, to: str) -> Condition:
        """Implement `Transport.condition`."""
        return self.conditions.get(to, Condition.UP)

    @property
    def requests(self) -> list[type[Request]]:
        """The type of each request, in order."""
        return [type(asked.request) for asked in self.asked]

    def __repr__(self) -> str:
        return f"<FakeTransport {len(self.asked)} requests>"


def fails(error: type[Silent | Unreachable]) -> Replies:
    """Fail each request at once."""
    return lambda asked: error(asked.to)


def fails_after(seconds: float, asked: Asked) -> asyncio.Future[Reply]:
    """Return the future of a reply that fails as `Silent` after `seconds`."""
    loop = asyncio.get_running_loop()
    reply: asyncio.Future[Reply] = loop.create_future()

    def fail() -> None:
        if not reply.done():
            reply.set_exception(Silent(asked.to))

    loop.call_later(seconds, fail)
    return reply


def in_turn(*replies: Reply | None) -> Replies:
    """Give these replies in order; None: silence."""
    left = iter(replies)

    def reply(asked: Asked) -> Reply | Exception:
        following = next(left)
        return Silent(asked.to) if following is None else following

    return reply


def from_replicas(replicas: Mapping[str, Acceptor]) -> Replies:
    """Let these replicas reply, by the name of their node."""

    async def reply(asked: Asked) -> Reply:
        replica = replicas[asked.to]
        match asked.request:
            case ReadReplica() as request:
                handling = replica.read(request, lambda _: False)
            case Propose() as request:
                handling = replica.propose(request)
            case Accept() as request:
                handling = replica.accept(request)
            case _:
                raise AssertionError(asked.request)
        return await handling if inspect.isawaitable(handling) else handling

    return reply
