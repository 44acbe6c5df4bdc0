"""Running wrk with a plan, and reading what it says."""

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench.plan import Plan

CONNECTIONS = 32
CROWD = 128
"""Connections where what is sent matters and how long it takes does not: ddb does more at once."""
SCRIPT = Path(__file__).parent / "replay.lua"
_AT_MOST = 600
"""Seconds for plans that end by themselves."""
_SLACK = 60.0


class WrkError(Exception):
    """wrk is missing, did not run, or said something else than its figures."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One run. Times are microseconds, as wrk's closed loop of connections sees them."""

    requests: int
    """Answers that came, whatever they said."""
    issued: int
    """Requests of the plan that were sent; up to one a connection may have no answer."""
    seconds: float
    p50_us: int
    p99_us: int
    p999_us: int
    max_us: int
    refused: int
    """Answers with a status of 400 or more."""
    broken: int
    """Connections refused, cut or timed out."""

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds if self.seconds else 0.0

    @property
    def failures(self) -> int:
        """What must be 0 for the figures to mean anything."""
        return self.refused + self.broken


@dataclass(frozen=True, slots=True)
class Wrk:
    """The load generator, found on this machine."""

    program: str

    @classmethod
    def find(cls) -> "Wrk":
        """The installed wrk. Raises WrkError."""
        program = shutil.which("wrk")
        if program is None:
            raise WrkError("wrk is not installed. On Debian and Ubuntu: apt-get install wrk")
        return cls(program)

    def version(self) -> str:
        """As wrk names itself."""
        said = subprocess.run([self.program, "-v"], capture_output=True, text=True, check=False)
        return " ".join((said.stdout or said.stderr).split()[:2])

    def run(
        self, plan: Plan, host: str, seconds: float = _AT_MOST, connections: int = CONNECTIONS
    ) -> Measured:
        """Send the plan to `host` ("127.0.0.1:8080") for whole seconds. Raises WrkError."""
        with tempfile.NamedTemporaryFile(prefix="plan-") as file:
            plan.write(Path(file.name), host)
            return self.replay(Path(file.name), host, seconds, connections)

    def replay(
        self, plan: Path, host: str, seconds: float = _AT_MOST, connections: int = CONNECTIONS
    ) -> Measured:
        """Send a plan that has been written. Raises WrkError."""
        command = [
            *(self.program, "-t1", f"-c{connections}", f"-d{round(seconds)}s", "--timeout", "5s"),
            *("-s", str(SCRIPT), f"http://{host}", "--", str(plan)),
        ]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=seconds + _SLACK
            )
        except subprocess.TimeoutExpired:
            raise WrkError(f"wrk did not end in {seconds + _SLACK:.0f} s") from None
        return parse(done.stdout, done.stderr)


def parse(output: str, complaint: str = "") -> Measured:
    """The figures among what wrk prints. Raises WrkError."""
    for line in output.splitlines():
        if line.startswith('{"requests"'):
            try:
                return msgspec.json.decode(line, type=Measured)
            except msgspec.DecodeError as error:
                raise WrkError(f"wrk's figures cannot be read: {error}: {line}") from error
    raise WrkError(f"wrk gave no figures: {(complaint or output).strip()[-500:]}")
