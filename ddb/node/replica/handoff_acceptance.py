"""Handoff acceptance: a home stores the hints that a standby sends, and confirms them."""

from ddb.node.replica.acceptor import Acceptor, Verdict
from ddb.node.storage.store import Family
from ddb.record.codec import peek
from ddb.record.state import DamagedState
from ddb.record.version import Dot
from ddb.wire.messages import Failed, HandoffResult, Reply


async def accept_handoff(acceptor: Acceptor, states: list[tuple[bytes, bytes]]) -> Reply:
    """Answer HandoffBatch once all of its keys are durable.

    Each mark in the result has the newest durable dot and the ballot below which this home refuses
    states. A mark is None where this home cannot read its copy.

    Args:
        states: pairs of key and encoded state.
    """
    marks: list[tuple[Dot, Dot] | None] = []
    for key, raw in states:
        if acceptor.copies.family(key) is not Family.RECORDS:
            return Failed(f"{acceptor.name} is not a home of a key handed to it")
        try:
            ballot = peek(raw)
        except DamagedState as damage:
            return Failed(f"{acceptor.name} refuses a hint: {damage}")
        acceptor.observe(ballot)
        stored = acceptor.copies.readable(key)
        if stored is None:
            marks.append(None)
            continue
        accepted = acceptor.replace(key, raw, ballot, stored) is Verdict.STORED
        marks.append((ballot if accepted else peek(stored), acceptor.bar(key)))
    await acceptor.writes.wait_keys(key for key, _ in states)
    return HandoffResult(marks)
