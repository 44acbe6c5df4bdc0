"""The swarm: a seed draws one family of plans, then a plan of that family.

The medley mixes all faults and finds what its authors did not think of. It rarely meets a bug that
needs a certain sequence of events. Each other family plays one such sequence. The seed draws the
rest of the plan: durations, gaps, nodes, disks and weather.
"""

import random
from collections.abc import Callable
from enum import Enum

from tests.sim.plan import Plan
from tests.sim.plans import (
    apart,
    crowd,
    double_faults,
    hearsay,
    homecoming,
    images,
    medley,
    outages,
    pledges,
    renewal,
    reuse,
    rotten,
    slow_disks,
)


class Family(Enum):
    """The scenario of a plan."""

    MEDLEY = "medley"
    """All faults, knobs, sizes and weathers."""
    HOMECOMING = "homecoming"
    """LIST and COUNT while a home has just returned and a standby hands off its hints."""
    DUEL = "duel"
    """All clients change one record, and few messages arrive in time."""
    LONE = "lone"
    """At most one node has trouble, so each answer must come in time."""
    SLOW_DISKS = "slow disks"
    """A node runs while its disk is slow or stalled, or all disks are late."""
    BRIDGE = "bridge"
    """The homes do not reach each other; the standby reaches both."""
    STUBBORN = "stubborn"
    """Gateways retry while their first attempts are in flight."""
    SEESAW = "seesaw"
    """Nodes fail in turn: clients write during one outage and read during the next."""
    VOLATILE = "volatile"
    """Slow disks lose power while other nodes still use their replies."""
    RENEWAL = "renewal"
    """Nodes lose their disks while others are behind or store hints."""
    AMNESIA = "amnesia"
    """A node restarts or loses its disk between two messages of a round."""
    IMAGES = "images"
    """An older image replaces a node's disk."""
    HEARSAY = "hearsay"
    """A node sends commit notices about rounds whose end it has not seen, then leaves."""
    ROTTEN_BLOCK = "rotten block"
    """Nodes can no longer read some of their rows."""
    DOUBLE_FAULT = "double fault"
    """A node cannot read some copies while a node lacks its share."""
    PLEDGES = "pledges"
    """Promises outlive their rounds while standbys hand off hints."""
    REUSE = "reuse"
    """Clients send or use an Idempotency-Key again as its window ends."""
    CROWD = "crowd"
    """Clients send many changes of one record at once, or more than its disks can flush in time."""


_Draw = Callable[[int, random.Random], Plan]
_SHARES: dict[Family, tuple[float, _Draw]] = {
    Family.MEDLEY: (0.14, medley.medley),
    Family.HOMECOMING: (0.05, homecoming.homecoming),
    Family.DUEL: (0.12, medley.duel),
    Family.LONE: (0.1, outages.lone),
    Family.SLOW_DISKS: (0.06, slow_disks.slow_disks),
    Family.BRIDGE: (0.08, apart.bridge),
    Family.STUBBORN: (0.06, apart.stubborn),
    Family.SEESAW: (0.07, outages.seesaw),
    Family.VOLATILE: (0.06, outages.volatile),
    Family.RENEWAL: (0.06, renewal.renewal),
    Family.AMNESIA: (0.05, renewal.amnesia),
    Family.IMAGES: (0.05, images.images),
    Family.HEARSAY: (0.05, hearsay.hearsay),
    Family.PLEDGES: (0.05, pledges.pledges),
    Family.REUSE: (0.03, reuse.reuse),
    Family.CROWD: (0.04, crowd.crowd),
    Family.ROTTEN_BLOCK: (0.06, rotten.rotten),
    Family.DOUBLE_FAULT: (0.05, double_faults.double_faults),
}


def family_of(seed: int) -> Family:
    """Return the family of a seed's plan."""
    return _family(random.Random(f"plan {seed}"))


def draw(seed: int) -> Plan:
    """Return the plan of a seed."""
    rng = random.Random(f"plan {seed}")
    return _SHARES[_family(rng)][1](seed, rng)


def _family(rng: random.Random) -> Family:
    return rng.choices(tuple(_SHARES), [share for share, _ in _SHARES.values()])[0]
