"""The distribution of requests over records: uniform or Zipf."""

import itertools
import random
from enum import Enum

EXPONENT = 0.99
"""Exponent of the Zipf distribution, as in YCSB (Cooper et al. 2010).

With 100,000 records the most popular 1 % get half of the requests. Lower: closer to uniform.
Higher: fewer records get most requests.
"""


class Keys(Enum):
    """The distribution of requests over the records."""

    UNIFORM = "uniform"
    ZIPF = "zipf"


def draws(keys: Keys, records: int, count: int, seed: int) -> list[int]:
    """Draw `count` record numbers below `records`.

    Equal arguments give equal numbers. The popular records lie anywhere among all records.
    """
    rng = random.Random(f"{seed} {keys.value} {records}")
    if keys is Keys.UNIFORM:
        return [rng.randrange(records) for _ in range(count)]
    places = list(range(records))
    rng.shuffle(places)
    weights = itertools.accumulate(rank**-EXPONENT for rank in range(1, records + 1))
    return rng.choices(places, cum_weights=list(weights), k=count)
