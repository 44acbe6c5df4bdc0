"""A file system with free bytes but without free inodes."""

import os
import subprocess
import sys
from pathlib import Path

from tests.cluster import ROOT, environment


def test_without_inodes_changes_are_declined_and_reads_go_on(tmp_path: Path) -> None:
    """Nodes without inodes decline changes as not applied, name the reason, and recover."""
    # A user other than root can mount only in a separate user namespace.
    private = ["unshare", "--mount"] + (["--map-root-user"] if os.geteuid() else [])
    done = subprocess.run(
        [*private, sys.executable, "-m", "tests.local.no_inodes", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=100,
        env=environment(),
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
