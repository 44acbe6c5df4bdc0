"""The issue log: the least age of counters, by this node's own steady clock.

A node or a gateway issues its counters in order, and none of them twice. So one observed counter
proves that its issuer has issued every smaller one before. A few such marks per issuer give the
least age of everything that carries its counters. No record needs a timer of its own.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

MOST_ISSUERS = 1024
"""Issuers in the log. Lower: the age of an evicted issuer's counters starts again when one is next
observed, so records remember for longer. Higher: about 6 KiB of memory per active issuer."""

I = TypeVar("I", int, bytes)  # noqa: E741 - the issuer's id


@dataclass(slots=True)
class _Issuer:
    """One issuer's marks."""

    expired: int = -1
    """Every counter up to here is older than the window."""
    marks: deque[tuple[float, int]] = field(default_factory=deque)
    """(time, counter), ascending: the issuer had issued all counters up to this one by then."""


class IssueLog(Generic[I]):
    """The marks of all issuers. Pure: the time is an argument, in seconds."""

    def __init__(self, window_s: float, grain_s: float) -> None:
        """Counters expire after `window_s`. An issuer gets at most one mark per `grain_s`."""
        self._window_s = window_s
        self._grain_s = grain_s
        self._issuers: OrderedDict[I, _Issuer] = OrderedDict()

    def saw(self, issuer: I, counter: int, now: float) -> None:
        """Record that `issuer` has issued `counter` by `now`."""
        found = self._issuers.get(issuer) or self._new(issuer)
        marks = found.marks
        if marks:
            marked_at, marked = marks[-1]
            if counter <= marked or now - marked_at < self._grain_s:
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
        """Return the seconds until `counter` expires, if it was observed by `now`."""
        found = self._issuers.get(issuer)
        for marked_at, marked in found.marks if found else ():
            if counter <= marked:
                return max(0.0, marked_at + self._window_s - now)
        return self._window_s + self._grain_s

    def learn(self, issuer: I, counter: int) -> None:
        """Take over from a peer that all counters of `issuer` up to `counter` have expired."""
        found = self._issuers.get(issuer) or self._new(issuer)
        found.expired = max(found.expired, counter)

    def all_expired(self, now: float) -> dict[I, int]:
        """Return by issuer the greatest counter that has expired."""
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
