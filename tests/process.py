"""Single processes of ddb, started by their own commands, and what they said."""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.cluster import environment, wait_for

Names = Sequence[str]


def members(first_port: int, names: Names = ("db-0", "db-1", "db-2")) -> str:
    """The value of `--members` for nodes on this machine, on neighbouring ports."""
    return ",".join(f"{name}=127.0.0.1:{first_port + at}" for at, name in enumerate(names))


class Process:
    """One `ddb ...`, from its start to its end; what it said is in a file of its own."""

    def __init__(self, directory: Path, *command: str, **environ: str) -> None:
        """`environ`: beyond what every process of a test gets."""
        self.command = command
        self._output = directory / f"{command[0]}-{time.monotonic_ns()}.out"
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ddb", *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment(**environ),
                cwd=directory,
            )

    @property
    def output(self) -> str:
        """What it has said until now."""
        return self._output.read_text(encoding="utf-8", errors="replace")

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def says(self, words: str, seconds: float = 30) -> bool:
        """Whether it says that in time."""
        return wait_for(lambda: words in self.output or not self.running, seconds) and (
            words in self.output
        )

    def ended(self, seconds: float = 30) -> int:
        """Wait for its end; the exit code."""
        return self._process.wait(seconds)

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        if self.running:
            self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __repr__(self) -> str:
        state = "running" if self.running else f"ended with {self._process.returncode}"
        return f"<Process ddb {' '.join(self.command)}, {state}>"
