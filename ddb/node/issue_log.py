"""When counters were issued, at the latest, by this node's own steady clock.

A node id, or a gateway's id, issues its counters in order, and never one twice. So one sighting of
a counter proves that every smaller one of the same issuer was issued before. A few such marks for
each issuer tell the age of everything that carries its counters, and no entry of any record needs
a watch of its own.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

MOST_ISSUERS = 1024
"""Issuers remembered, those of the last sighting. Too few: the ages of the others begin again at
each sighting, and records keep what they could forget. Too many: about 6 KiB of memory apiece."""

I = TypeVar("I", int, bytes)  # noqa: E741 - the issuer's id


@dataclass(slots=True)
class _Issuer:
    """What is known of one issuer."""

    expired: int = -1
    """Every counter up to here is older than the window."""
    marks: deque[tuple[float, int]] = field(default_factory=deque)
    """(moment, counter), ascending: every counter up to that one was issued before the moment."""


class IssueLog(Generic[I]):
    """The marks of all issuers. Pure: the time is an argument."""

    def __init__(self, window_s: float, grain_s: float) -> None:
        """Ages are told apart at `window_s`; an issuer gets a mark every `grain_s` at most."""
        self._window_s = window_s
        self._grain_s = grain_s
        self._issuers: OrderedDict[I, _Issuer] = OrderedDict()

    def saw(self, issuer: I, counter: int, now: float) -> None:
        """Take note that `issuer` had issued `counter` by `now`."""
        known = self._issuers.get(issuer) or self._new(issuer)
        marks = known.marks
        if marks:
            moment, noted = marks[-1]
            if counter <= noted or now - moment < self._grain_s:
                return
        if counter <= known.expired:
            return
        marks.append((now, counter))
        self._expire(known, now)
        self._issuers.move_to_end(issuer)

    def expired(self, issuer: I, counter: int, now: float) -> bool:
        """Whether `counter` was certainly issued longer ago than the window."""
        known = self._issuers.get(issuer)
        if known is None:
            return False
        if counter > known.expired:
            self._expire(known, now)
        return counter <= known.expired

    def left_s(self, issuer: I, counter: int, now: float) -> float:
        """Seconds until `counter` has expired, where it was sighted by `now`."""
        known = self._issuers.get(issuer)
        for moment, noted in known.marks if known else ():
            if counter <= noted:
                return max(0.0, moment + self._window_s - now)
        return self._window_s + self._grain_s

    def learn(self, issuer: I, counter: int) -> None:
        """Take a peer's word that every counter of `issuer` up to `counter` has expired."""
        known = self._issuers.get(issuer) or self._new(issuer)
        known.expired = max(known.expired, counter)

    def all_expired(self, now: float) -> dict[I, int]:
        """For each issuer the greatest counter known to have expired."""
        for known in self._issuers.values():
            self._expire(known, now)
        return {
            issuer: known.expired for issuer, known in self._issuers.items() if known.expired >= 0
        }

    def _new(self, issuer: I) -> _Issuer:
        if len(self._issuers) >= MOST_ISSUERS:
            self._issuers.popitem(last=False)
        known = self._issuers[issuer] = _Issuer()
        return known

    def _expire(self, known: _Issuer, now: float) -> None:
        marks = known.marks
        while marks and now - marks[0][0] > self._window_s:
            known.expired = max(known.expired, marks.popleft()[1])

    def __len__(self) -> int:
        return len(self._issuers)

    def __repr__(self) -> str:
        marks = sum(len(known.marks) for known in self._issuers.values())
        return f"<IssueLog {len(self)} issuers, {marks} marks>"
