"""The request budget, on disks that are slow everywhere."""

import subprocess
from collections import Counter
from pathlib import Path

from tests.cluster import Cluster

FLUSH_MS = 75
"""Milliseconds that each flush takes more: a change needs two, and may wait for two others."""
CHANGES = 20
_LIBRARY = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>
static void wait_for_disk(void) {
  char *text = getenv("FLUSH_MS");
  if (text) usleep(atol(text) * 1000);
}
int fdatasync(int fd) {
  static int (*real)(int);
  if (!real) real = dlsym(RTLD_NEXT, "fdatasync");
  wait_for_disk();
  return real(fd);
}
int fsync(int fd) {
  static int (*real)(int);
  if (!real) real = dlsym(RTLD_NEXT, "fsync");
  wait_for_disk();
  return real(fd);
}
"""


def changed(directory: Path, library: Path, budget_ms: int) -> Counter[int]:
    """The statuses of some changes, one after the other, under this budget."""
    directory.mkdir()
    settings = {
        "DDB_REQUEST_BUDGET_MS": str(budget_ms),
        "LD_PRELOAD": str(library),
        "FLUSH_MS": str(FLUSH_MS),
    }
    with Cluster(directory, 3, None, **settings) as cluster:
        user = {"id": "ada", "name": "Ada", "email": "ada@example.com", "group": 0}
        statuses = Counter({cluster.request("POST", "/api/users/", user)[0]: 1})
        for group in range(CHANGES):
            body = {"id": "ada", "group": group}
            statuses[cluster.request("PUT", "/api/users/", body)[0]] += 1
    return statuses


def test_larger_budget_makes_changes_on_slow_disks_succeed(tmp_path: Path) -> None:
    """With 1,000 ms every change succeeds that with 225 ms mostly came too late."""
    library = tmp_path / "slow.so"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(library), "-ldl"],
        input=_LIBRARY,
        text=True,
        check=True,
    )
    default = changed(tmp_path / "default", library, 225)
    larger = changed(tmp_path / "larger", library, 1000)
    assert larger[503] == 0
    assert larger[200] == CHANGES
    assert default[503] > larger[503]
