"""Which record a request is about: every one alike, or few of them most of the time."""

import itertools
import random
from enum import Enum

EXPONENT = 0.99
"""YCSB's (Cooper et al. 2010): of 100,000 records, the first 1 % get half of the requests."""


class Keys(Enum):
    """How requests spread over the records."""

    UNIFORM = "uniform"
    ZIPF = "zipf"


def draws(keys: Keys, records: int, count: int, seed: int) -> list[int]:
    """`count` numbers of records below `records`; the same for the same arguments.

    The popular ones lie anywhere among the records, not at their beginning.
    """
    rng = random.Random(f"{seed} {keys.value} {records}")
    if keys is Keys.UNIFORM:
        return [rng.randrange(records) for _ in range(count)]
    places = list(range(records))
    rng.shuffle(places)
    weights = itertools.accumulate(rank**-EXPONENT for rank in range(1, records + 1))
    return rng.choices(places, cum_weights=list(weights), k=count)
