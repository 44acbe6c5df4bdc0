"""The load generator wrk: runs plans and parses the figures."""

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench.plan import Plan

CONNECTIONS = 32
"""Connections of a measured run. Fewer: systems idle. More: latencies grow, rates hardly do."""
LOADING_CONNECTIONS = 128
"""Connections for loading, where latency does not matter. Fewer: loading takes longer."""
SCRIPT = Path(__file__).parent / "replay.lua"
_LONGEST_PLAN_S = 600
"""Time for a plan that ends by itself. Lower: loading on a slow machine is cut short."""
_EXIT_TIMEOUT_S = 60.0
"""Time for wrk to end after its run. Lower: a busy machine fails the benchmark."""


class WrkError(Exception):
    """wrk is missing, did not end, or printed no figures."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one run. Latencies are those of a closed loop of connections."""

    requests: int
    """Answers with any status."""
    issued: int
    """Requests of the plan that wrk sent. One per connection may have no answer."""
    seconds: float
    p50_us: int
    p99_us: int
    p999_us: int
    max_us: int
    refused: int
    """Answers with a status of 400 or more."""
    broken: int
    """Connections that were refused, closed or timed out."""

    @property
    def rate(self) -> float:
        """Return the answers per second."""
        return self.requests / self.seconds if self.seconds else 0.0

    @property
    def failures(self) -> int:
        """Return the number of failures; a run with any is invalid."""
        return self.refused + self.broken


@dataclass(frozen=True, slots=True)
class Wrk:
    """The installed load generator."""

    program: str

    @classmethod
    def find(cls) -> "Wrk":
        """Find wrk in the path. Raises `WrkError`."""
        program = shutil.which("wrk")
        if program is None:
            raise WrkError(
                "wrk is not installed, so nothing was measured."
                " On Debian and Ubuntu: apt-get install wrk"
            )
        return cls(program)

    def version(self) -> str:
        """Return the name and version that wrk prints."""
        done = subprocess.run([self.program, "-v"], capture_output=True, text=True, check=False)
        return " ".join((done.stdout or done.stderr).split()[:2])

    def run(
        self,
        plan: Plan,
        host: str,
        seconds: float = _LONGEST_PLAN_S,
        connections: int = CONNECTIONS,
    ) -> Measured:
        """Write a plan and send it. See `replay`."""
        with tempfile.NamedTemporaryFile(prefix="plan-") as file:
            plan.write(Path(file.name), host)
            return self.replay(Path(file.name), host, seconds, connections)

    def replay(
        self,
        plan: Path,
        host: str,
        seconds: float = _LONGEST_PLAN_S,
        connections: int = CONNECTIONS,
    ) -> Measured:
        """Send a plan from its file. Raises `WrkError`.

        Args:
            plan: The file that `Plan.write` made for the same host.
            host: The address, such as "127.0.0.1:8080".
            seconds: Duration, rounded to whole seconds; a limit for plans that end by themselves.
            connections: Number of connections.
        """
        command = [
            *(self.program, "-t1", f"-c{connections}", f"-d{round(seconds)}s", "--timeout", "5s"),
            *("-s", str(SCRIPT), f"http://{host}", "--", str(plan)),
        ]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                check=False,
                timeout=seconds + _EXIT_TIMEOUT_S,
            )
        except subprocess.TimeoutExpired:
            raise WrkError(
                f"wrk did not end within {seconds + _EXIT_TIMEOUT_S:.0f} s, so the run has no"
                " figures; measure again on an idle machine"
            ) from None
        return parse(done.stdout, done.stderr)


def parse(output: str, errors: str = "") -> Measured:
    """Parse the figures of wrk. Raises `WrkError`.

    Args:
        output: The standard output of wrk.
        errors: The standard error of wrk, for the message.
    """
    for line in output.splitlines():
        if line.startswith('{"requests"'):
            try:
                return msgspec.json.decode(line, type=Measured)
            except msgspec.DecodeError as error:
                raise WrkError(f"the figures of wrk are damaged: {error}: {line}") from error
    raise WrkError(f"wrk printed no figures: {(errors or output).strip()[-500:]}")
