"""Frames: any cut of the stream gives the same messages, and damage is noticed as such."""

import struct
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddb.wire.frames import MAX_FRAME_BYTES, DamagedFrame, FrameReader, frame
from ddb.wire.messages import (
    REPLIES,
    REQUESTS,
    CoordinateGet,
    GetResult,
    Message,
    Pong,
    Reply,
    Request,
    Unwelcome,
)
from tests.wire.strategies import messages

steady = settings(deadline=None)
Read = tuple[int, float, object]
correlations = st.integers(0, 2**32 - 1)
times = st.integers(0, 2**50).map(lambda micros: micros / 1e6)
framed = st.lists(st.tuples(correlations, times, messages(*REQUESTS)), max_size=5)


def read(*chunks: bytes, kind: object = Request) -> list[Read]:
    reader: FrameReader[Request] = FrameReader(kind)
    return [each for chunk in chunks for each in reader.feed(chunk)]


@steady
@given(framed, st.data())
def test_any_cut_gives_the_same_messages(
    sent: list[tuple[int, float, Message]], data: st.DataObject
) -> None:
    """A stream in any chunks gives the same frames in the same order."""
    stream = b"".join(frame(*each) for each in sent)  # type: ignore[arg-type]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    chunks = [stream[start:end] for start, end in pairwise([0, *cuts, len(stream)])]
    received = read(*chunks)
    assert [(correlation, message) for correlation, _, message in received] == [
        (correlation, message) for correlation, _, message in sent
    ]
    for (_, received_s, _), (_, sent_s, _) in zip(received, sent, strict=True):
        assert abs(received_s - sent_s) <= 2e-6


def test_one_byte_at_a_time() -> None:
    """A frame that arrives byte by byte is one frame."""
    stream = frame(7, 1.5, CoordinateGet(b"k")) + frame(8, 2.5, CoordinateGet(b""))
    assert read(*(bytes((byte,)) for byte in stream)) == [
        (7, 1.5, CoordinateGet(b"k")),
        (8, 2.5, CoordinateGet(b"")),
    ]


@steady
@given(st.lists(st.binary(max_size=60), max_size=4))
def test_garbage_is_damage_and_nothing_else(chunks: list[bytes]) -> None:
    """Arbitrary bytes are damaged or incomplete, and raise no other error."""
    try:
        assert all(isinstance(each, tuple) for each in read(*chunks))
    except DamagedFrame:
        pass


@steady
@given(st.tuples(correlations, times, messages(*REPLIES)), st.data())
def test_flipped_bits_are_damage_or_another_message(
    sent: tuple[int, float, Message], data: st.DataObject
) -> None:
    """A frame with one changed byte is damaged, incomplete or another message."""
    stream = bytearray(frame(*sent))  # type: ignore[arg-type]
    stream[data.draw(st.integers(0, len(stream) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        read(bytes(stream), kind=Reply)
    except DamagedFrame:
        pass


@pytest.mark.parametrize("length", [0, 11, 12, MAX_FRAME_BYTES + 1, 2**32 - 1])
def test_impossible_length_is_damaged_at_once(length: int) -> None:
    """A header with an impossible length is damaged before its message arrives."""
    with pytest.raises(DamagedFrame, match=f"a frame of {length} bytes"):
        read(struct.pack(">IIQ", length, 1, 1))


def test_greatest_frame_passes() -> None:
    """A frame of the greatest size passes, and one with a byte more is damaged."""
    overhead = len(frame(1, 1.0, GetResult(b"x" * 70_000))) - 4 - 70_000
    fits = GetResult(b"x" * (MAX_FRAME_BYTES - overhead))
    ((_, _, message),) = read(frame(1, 1.0, fits), kind=Reply)
    assert message == fits
    with pytest.raises(DamagedFrame):
        read(frame(1, 1.0, GetResult(b"x" * (MAX_FRAME_BYTES - overhead + 1))), kind=Reply)


def test_messages_before_the_damage_are_delivered() -> None:
    """A reader yields the complete frames before the damage."""
    reader: FrameReader[Request] = FrameReader(Request)
    received = []
    with pytest.raises(DamagedFrame):  # noqa: PT012
        for each in reader.feed(frame(1, 1.0, CoordinateGet(b"k")) + b"\xff" * 40):
            received.append(each)  # noqa: PERF402
    assert received == [(1, 1.0, CoordinateGet(b"k"))]


def test_reply_in_a_stream_of_requests_is_damage() -> None:
    """A reply in a stream of requests is damaged."""
    with pytest.raises(DamagedFrame):
        read(frame(1, 1.0, Pong(True)))


def test_broken_text_is_damage() -> None:
    """A frame with text that is not UTF-8 is damaged."""
    stream = frame(1, 1.0, Unwelcome("héllo")).replace("é".encode(), b"\xc3\x28")
    with pytest.raises(DamagedFrame):
        read(stream, kind=Reply)


@pytest.mark.parametrize("opening", [b"\x91", b"\xdc\x00\x01", b"\x81"])
def test_deep_nesting_is_damage(opening: bytes) -> None:
    """A payload nested beyond all measure is refused like any other that is not understood."""
    payload = opening * 100_000
    with pytest.raises(DamagedFrame):
        read(struct.pack(">IIQ", 12 + len(payload), 1, 1) + payload)
