"""The description of the machine that took the figures."""

import os
import platform
import subprocess
from pathlib import Path


def describe() -> str:
    """Return processor, memory, kernel and Python version in one line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores of {_processor()}, {memory:.0f} GiB,"
        f" {platform.system()} {platform.release()}, Python {platform.python_version()}"
    )


def first_line_of(*command: str) -> str:
    """Run a command and return the first line of its output."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except FileNotFoundError:
        return f"{command[0]}, not found"
    return (done.stdout or done.stderr).partition("\n")[0].strip()


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except FileNotFoundError:
        pass  # Not Linux.
    return platform.processor() or "unknown"
