"""The planted bugs. Each is wrong in a way that somebody once was, or easily could be."""

from tests.sim.mutants.coordinator import COORDINATOR
from tests.sim.mutants.gateway import GATEWAY
from tests.sim.mutants.images import IMAGES
from tests.sim.mutants.record import RECORD
from tests.sim.mutants.repair import REPAIR
from tests.sim.mutants.replica import REPLICA
from tests.sim.mutants.rounds import ROUNDS
from tests.sim.mutants.wire import WIRE

MUTANTS = COORDINATOR + ROUNDS + REPLICA + RECORD + REPAIR + IMAGES + GATEWAY + WIRE
