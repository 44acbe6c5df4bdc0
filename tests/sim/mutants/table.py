"""The planted bugs. An author of the code once made each of them, or easily could."""

from tests.sim.mutants.admission import ADMISSION
from tests.sim.mutants.combined import COMBINED
from tests.sim.mutants.coordinator import COORDINATOR
from tests.sim.mutants.damage import DAMAGE
from tests.sim.mutants.disks import DISKS
from tests.sim.mutants.gateway import GATEWAY
from tests.sim.mutants.images import IMAGES
from tests.sim.mutants.record import RECORD
from tests.sim.mutants.repair import REPAIR
from tests.sim.mutants.replica import REPLICA
from tests.sim.mutants.rounds import ROUNDS
from tests.sim.mutants.wire import WIRE

MUTANTS = (
    COORDINATOR
    + COMBINED
    + ROUNDS
    + REPLICA
    + RECORD
    + REPAIR
    + IMAGES
    + ADMISSION
    + DAMAGE
    + GATEWAY
    + WIRE
    + DISKS
)
