"""Each message class, through the encoding and back."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddb.wire.messages import REPLIES, REQUESTS, Message, Reply, Request
from tests.wire.strategies import messages

steady = settings(deadline=None)
few = settings(deadline=None, max_examples=30)


@pytest.mark.parametrize("kind", [*REQUESTS, *REPLIES])
@few
@given(st.data())
def test_round_trip(kind: type[Message], data: st.DataObject) -> None:
    """A message of any class and values decodes to itself."""
    message = data.draw(messages(kind))
    union = Request if kind in REQUESTS else Reply
    decoded: object = msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=union)
    assert decoded == message
    assert type(decoded) is kind


def test_every_message_is_a_request_or_a_reply() -> None:
    """Each message is in exactly one union, and no two share a tag."""
    assert set(Message.__subclasses__()) == {*REQUESTS, *REPLIES}
    assert not set(REQUESTS) & set(REPLIES)
    tags = [kind.__struct_config__.tag for kind in (*REQUESTS, *REPLIES)]
    assert len(set(tags)) == len(tags)


@steady
@given(messages(*REPLIES))
def test_replies_are_no_requests(message: Message) -> None:
    """No reply decodes as a request."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=Request)
