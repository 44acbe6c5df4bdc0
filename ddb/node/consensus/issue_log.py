"""When counters were issued, at the latest, by this node's own steady clock.

A node or a gateway issues its counters in order, and none of them twice. So one sighting of a
counter proves that the issuer issued every smaller one before. A few such marks for each issuer
give the age of everything that carries its counters. No record needs a watch of its own.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

MOST_ISSUERS = 1024
"""Issuers remembered. Lower: the age of an evicted one starts again at its next sighting, so that
records remember for longer. Higher: about 6 KiB of memory for each that is active."""

I = TypeVar("I", int, bytes)  # noqa: E741 - the issuer's id


@dataclass(slots=True)
class _Issuer:
    """One issuer's marks."""

    expired: int = -1
    """Every counter up to here is older than the window."""
    marks: deque[tuple[float, int]] = field(default_factory=deque)
    """(moment, counter), ascending: every counter up to that one was issued before the moment."""


class IssueLog(Generic[I]):
    """The marks of all issuers. Pure: the time is an argument."""

    def __init__(self, window_s: float, grain_s: float) -> None:
        """Counters expire after `window_s`; an issuer gets one mark every `grain_s` at most."""
        self._window_s = window_s
        self._grain_s = grain_s
        self._issuers: OrderedDict[I, _Issuer] = OrderedDict()

    def saw(self, issuer: I, counter: int, now: float) -> None:
        """Take note that `issuer` had issued `counter` by `now`."""
        found = self._issuers.get(issuer) or self._new(issuer)
        marks = found.marks
        if marks:
            moment, noted = marks[-1]
            if counter <= noted or now - moment < self._grain_s:
                return
        if counter <= found.expired:
            return
        marks.append((now, counter))
        self._expire(found, now)
        self._issuers.move_to_end(issuer)

    def expired(self, issuer: I, counter: int, now: float) -> bool:
        """Whether `counter` was certainly issued longer ago than the window."""
        found = self._issuers.get(issuer)
        if found is None:
            return False
        if counter > found.expired:
            self._expire(found, now)
        return counter <= found.expired

    def left_s(self, issuer: I, counter: int, now: float) -> float:
        """Seconds until `counter` has expired, where it was sighted by `now`."""
        found = self._issuers.get(issuer)
        for moment, noted in found.marks if found else ():
            if counter <= noted:
                return max(0.0, moment + self._window_s - now)
        return self._window_s + self._grain_s

    def learn(self, issuer: I, counter: int) -> None:
        """Take over from a peer that every counter of `issuer` up to `counter` has expired."""
        found = self._issuers.get(issuer) or self._new(issuer)
        found.expired = max(found.expired, counter)

    def all_expired(self, now: float) -> dict[I, int]:
        """For each issuer the greatest counter that has expired."""
        for found in self._issuers.values():
            self._expire(found, now)
        return {
            issuer: found.expired for issuer, found in self._issuers.items() if found.expired >= 0
        }

    def _new(self, issuer: I) -> _Issuer:
        if len(self._issuers) >= MOST_ISSUERS:
            self._issuers.popitem(last=False)
        found = self._issuers[issuer] = _Issuer()
        return found

    def _expire(self, found: _Issuer, now: float) -> None:
        marks = found.marks
        while marks and now - marks[0][0] > self._window_s:
            found.expired = max(found.expired, marks.popleft()[1])

    def __len__(self) -> int:
        return len(self._issuers)

    def __repr__(self) -> str:
        marks = sum(len(found.marks) for found in self._issuers.values())
        return f"<IssueLog {len(self)} issuers, {marks} marks>"
