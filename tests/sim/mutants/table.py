"""The planted bugs. Each is wrong in a way that somebody once was, or easily could be."""

from tests.sim.mutants.gateway import GATEWAY
from tests.sim.mutants.node import NODE
from tests.sim.mutants.repair import REPAIR
from tests.sim.mutants.wire import WIRE

MUTANTS = NODE + REPAIR + GATEWAY + WIRE
