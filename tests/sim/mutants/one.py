"""Hunts one mutant: `python -m tests.sim.mutants.one NAME SEEDS`."""

import itertools
import json
import os
import sys
import time

from tests.sim.mutants.plant import DoesNotApply, plant
from tests.sim.mutants.table import MUTANTS


def main(name: str, most: int, shrinks: bool) -> int:
    """Print one line of JSON: the number of seeds and the broken promise.

    Args:
        most: seeds to try.
        shrinks: True also shrinks the failing plan. False reports it as drawn.
    """
    mutant = next(mutant for mutant in MUTANTS if mutant.name == name)
    plant(mutant)
    began = time.monotonic()
    try:
        from tests.sim.run import run
        from tests.sim.shrink import shrink
        from tests.sim.swarm import Family, draw, family_of
    except DoesNotApply as error:
        print(json.dumps({"name": name, "applies": False, "message": str(error)}), flush=True)
        return 1
    family = Family(mutant.family)
    fitting = (draw(seed) for seed in itertools.count() if family_of(seed) is family)
    for tried, plan in enumerate(itertools.islice(fitting, most)):
        violations = run(plan).violations
        if violations:
            found: dict[str, object] = {
                "name": name,
                "applies": True,
                "family": mutant.family,
                "seeds": tried + 1,
                "seed": plan.seed,
                "checker": violations[0][0],
                "message": violations[0][1][:300],
            }
            if shrinks:
                small = shrink(plan)
                found |= {"operations": len(small.ops), "faults": len(small.faults)}
            print(json.dumps(found | {"seconds": round(time.monotonic() - began, 1)}), flush=True)
            return 0
    print(json.dumps({"name": name, "applies": True, "seeds": None, "tried": most}), flush=True)
    return 1


if __name__ == "__main__":
    assert os.environ.get("PYTHONHASHSEED") == "0", "the gate pins the hash seed"
    sys.exit(main(sys.argv[1], int(sys.argv[2]), "shrink" in sys.argv[3:]))
