"""The shares of a process's file descriptors."""

import errno
import resource
import subprocess
import sys

import pytest

from ddb.runtime.descriptors import (
    FEWEST_GATEWAYS,
    FEWEST_TABLES,
    LINK_DESCRIPTORS,
    MEMBER_CONNECTIONS,
    PROCESS_RESERVE,
    STORE_RESERVE,
    TooFewDescriptors,
    client_connection_limit,
    exhausted,
    gateway_reserve,
    limit_in_force,
    node_shares,
    tables_in,
)

RAISED = """
import resource
from ddb.runtime.descriptors import raise_limit
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
print(raise_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def in_process(soft: int, hard: int) -> list[int]:
    """Return the results of `raise_limit` and `getrlimit` in a process with these limits."""
    done = subprocess.run(
        [sys.executable, "-c", RAISED.format(soft=soft, hard=hard)],
        capture_output=True,
        text=True,
        check=True,
    )
    return [int(each) for each in done.stdout.split()]


def test_soft_limit_is_raised_to_the_hard_one() -> None:
    """A process raises its soft limit to the hard limit."""
    assert in_process(64, 512) == [512, 512, 512]


def test_limit_that_cannot_be_raised_stays() -> None:
    """A soft limit that equals the hard limit stays in force."""
    assert in_process(128, 128) == [128, 128, 128]


@pytest.mark.parametrize("nodes", [3, 5, 50])
@pytest.mark.parametrize("limit", [128, 256, 1024, 4096, 65_536])
def test_shares_of_a_node_fit_into_the_limit(limit: int, nodes: int) -> None:
    """The shares of a node add up to at most the limit, or the node does not start."""
    try:
        shares = node_shares(limit, nodes)
    except TooFewDescriptors as error:
        enough = int(str(error).split("at least ")[1].split()[0])
        assert enough > limit
        assert node_shares(enough, nodes).gateways >= FEWEST_GATEWAYS
        return
    peers = (nodes - 1) * (LINK_DESCRIPTORS + MEMBER_CONNECTIONS)
    store = STORE_RESERVE + shares.tables
    assert PROCESS_RESERVE + store + peers + shares.strangers + shares.gateways <= limit
    assert shares.gateways >= FEWEST_GATEWAYS
    assert shares.tables == tables_in(limit) >= FEWEST_TABLES


def test_node_of_three_starts_with_128() -> None:
    """A limit of 128 suffices for a node of a cluster of three."""
    assert node_shares(128, 3).gateways == FEWEST_GATEWAYS


def test_clients_leave_room_for_links() -> None:
    """Client connections and the reserve for links add up to the limit."""
    reserve = gateway_reserve(3)
    assert client_connection_limit(reserve) + reserve == limit_in_force()
    with pytest.raises(TooFewDescriptors, match="ulimit -n"):
        client_connection_limit(limit_in_force())
    assert limit_in_force() <= resource.getrlimit(resource.RLIMIT_NOFILE)[0]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.EMFILE, "x"), True),
        (OSError(errno.ENFILE, "x"), True),
        (
            Exception("IO error: While open a file for random read: 1.sst: Too many open files"),
            True,
        ),
        (OSError(errno.ENOSPC, "No space left on device"), False),
        (Exception("Corruption: block checksum mismatch"), False),
    ],
)
def test_exhausted_limit_differs_from_damage(error: Exception, expected: bool) -> None:
    """Errors of RocksDB and of the system show an exhausted limit, and no other error does."""
    assert exhausted(error) is expected
