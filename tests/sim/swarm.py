"""The swarm: a seed draws one family of plans, and then a plan of that family.

Plans of all sorts find what nobody thought of. What takes a certain sequence of events they meet
too seldom, so other families play such sequences, with everything about them drawn: how long,
how far apart, who, on what disks and in what weather.
"""

import random
from collections.abc import Callable
from enum import Enum

from tests.sim.plan import Plan
from tests.sim.plans import (
    apart,
    crowd,
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
    """What a plan is about."""

    MEDLEY = "medley"
    """All sorts of faults, knobs, sizes and weathers."""
    HOMECOMING = "homecoming"
    """LIST and COUNT while a home has just returned and its hints are handed off and let go."""
    DUEL = "duel"
    """Everybody fights over one record, and hardly a message arrives in time."""
    LONE = "lone"
    """One node alone has trouble, or nobody: everything is owed in time."""
    SLOW_DISKS = "slow disks"
    """One node's disk is slow or stalled behind a living process, or all disks are late."""
    BRIDGE = "bridge"
    """The homes do not reach each other; the standby reaches both."""
    STUBBORN = "stubborn"
    """Gateways that try again while their first attempts are still on their way."""
    SEESAW = "seesaw"
    """Nodes are out of reach in turn, with writes while one is and reads while another."""
    VOLATILE = "volatile"
    """Slow disks lose power while others still tell of what they held."""
    RENEWAL = "renewal"
    """Nodes lose their disks while others are behind or hold hints."""
    AMNESIA = "amnesia"
    """A node restarts, or loses its disk, again and again between two coordinators' messages."""
    IMAGES = "images"
    """A node's disk is put back as it was some time ago."""
    HEARSAY = "hearsay"
    """A node speaks of rounds whose end it has not heard, and leaves."""
    ROTTEN_BLOCK = "rotten block"
    """Nodes cannot read some of their rows any more."""
    PLEDGES = "pledges"
    """Promises outlive their rounds, and hints go home in their midst."""
    REUSE = "reuse"
    """Keys are sent again, or used again, about the end of the time that they are remembered."""
    CROWD = "crowd"
    """More changes of one record than its disks can flush in time."""


_Draw = Callable[[int, random.Random], Plan]
_SHARES: dict[Family, tuple[float, _Draw]] = {
    Family.MEDLEY: (0.16, medley.medley),
    Family.HOMECOMING: (0.05, homecoming.homecoming),
    Family.DUEL: (0.15, medley.duel),
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
}


def family_of(seed: int) -> Family:
    """The family of a seed's plan."""
    return _family(random.Random(f"plan {seed}"))


def draw(seed: int) -> Plan:
    """The plan of a seed."""
    rng = random.Random(f"plan {seed}")
    return _SHARES[_family(rng)][1](seed, rng)


def _family(rng: random.Random) -> Family:
    return rng.choices(tuple(_SHARES), [share for share, _ in _SHARES.values()])[0]
