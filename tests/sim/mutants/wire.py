"""Bugs on the wire: the failure detector, deadlines, lost requests."""

from tests.sim.mutants.plant import Mutant, Patch

_LINK = "ddb.wire.link"
_IN_FLIGHT = "ddb.wire.in_flight"

WIRE = (
    Mutant(
        "suspect-for-ever",
        "a caller never trusts a peer again on a connection on which it was silent once",
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
        "a node handles requests after their deadline",
        (
            Patch("ddb.wire.listener", "        elif deadline <= now:\n", "        elif False:\n"),
            # The coordinator checks the deadline of a change once more.
            Patch(
                "ddb.node.consensus.coordinator",
                "        return (deadline - self._clock.now()) * 1000 < begin_ms\n",
                "        return False\n",
            ),
        ),
        family="stubborn",
    ),
    Mutant(
        "deadlines-on-the-wrong-clock",
        "a caller sends deadlines of its own clock",
        (
            Patch(
                _IN_FLIGHT,
                "max(0.0, deadline + self.peer_clock.offset_s)",
                "max(0.0, deadline)",
            ),
        ),
        family="lone",
    ),
    Mutant(
        "lost-is-unsent",
        "a caller counts requests in flight on a lost connection as never sent",
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
