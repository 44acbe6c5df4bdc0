"""Single processes of ddb, started by `ddb node` or `ddb gateway`, and their output."""

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.cluster import environment, wait_for

Names = Sequence[str]


def members(first_port: int, names: Names = ("db-0", "db-1", "db-2")) -> str:
    """Return the value of `--members` for nodes on consecutive ports of this machine."""
    return ",".join(f"{name}=127.0.0.1:{first_port + index}" for index, name in enumerate(names))


class Process:
    """One process of `ddb`, with its output in a separate file."""

    def __init__(self, directory: Path, *command: str, **environ: str) -> None:
        """Start the process.

        Args:
            command: the arguments of `ddb`.
            environ: further environment variables.
        """
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
        """The output until now."""
        return self._output.read_text(encoding="utf-8", errors="replace")

    @property
    def running(self) -> bool:
        """True while the process runs."""
        return self._process.poll() is None

    def says(self, text: str, seconds: float = 30) -> bool:
        """Wait until the output contains the text; return False on timeout or exit without it."""
        return wait_for(lambda: text in self.output or not self.running, seconds) and (
            text in self.output
        )

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        self._process.send_signal(number)

    def ended(self, seconds: float = 30) -> int:
        """Wait for the end and return the exit code."""
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
