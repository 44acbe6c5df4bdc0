"""Bugs on the wire: the failure detector, deadlines, what became of requests that were lost."""

from tests.sim.mutants.plant import Mutant, Patch

_LINK = "ddb.wire.link"

WIRE = (
    Mutant(
        "suspect-for-ever",
        "a peer that was silent once is never trusted again on that connection",
        (
            Patch(
                _LINK,
                "        if self._condition is Condition.SUSPECT:\n"
                "            self._believe(Condition.UP, self._voting)\n",
                "",
            ),
        ),
        family="lone",
    ),
    Mutant(
        "late-requests-are-done",
        "a node works on requests whose deadline has passed",
        (Patch("ddb.wire.listener", "        elif deadline <= now:\n", "        elif False:\n"),),
        family="stubborn",
    ),
    Mutant(
        "deadlines-on-the-wrong-clock",
        "a deadline is sent on the caller's clock",
        (Patch(_LINK, "max(0.0, deadline + self._peer_clock.offset_s)", "max(0.0, deadline)"),),
        family="lone",
    ),
    Mutant(
        "lost-is-unsent",
        "requests under way on a lost connection count as never sent",
        (
            Patch(
                _LINK,
                'Silent(f"lost {self.name}: {reason}")',
                'Unreachable(f"lost {self.name}: {reason}")',
            ),
        ),
        family="stubborn",
    ),
)
