"""A real cluster for tests: the launcher's own processes, on ports and data of their own."""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
READY = "ddb is ready"
_OURS = {"DB_N", "DB_PORT", "PORT"}
# Below the range from which systems take the near end of outgoing connections.
_PORTS = range(12_000, 32_000)


class StartError(Exception):
    """`ddb up` ended before it was ready; the message is what it said."""


def environment(**extra: str) -> dict[str, str]:
    """This process's environment without what would configure ddb, and with `extra`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _OURS and not name.startswith("DDB_")
    }
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"} | extra


def free_ports(count: int) -> int:
    """The first of `count` neighbouring ports that are all free at this moment."""
    while True:
        first = random.randrange(_PORTS.start, _PORTS.stop - count)
        with contextlib.ExitStack() as held:
            try:
                for port in range(first, first + count):
                    probe = held.enter_context(socket.socket())
                    probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return first


def wait_for(what: Callable[[], bool], seconds: float) -> bool:
    """Whether `what` comes true in that time."""
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def gone(pid: int) -> bool:
    """Whether no such process runs any more."""
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in (b"Z", b"X")


class Cluster:
    """One `ddb up`. `start` and `stop` may be called again and again; the data stays."""

    def __init__(
        self, directory: Path, nodes: int = 3, descriptors: int | None = None, **extra: str
    ) -> None:
        """`descriptors`: the limit of each process, where it is not the machine's."""
        self.nodes = nodes
        self._descriptors = descriptors
        self.data = directory / "data"
        self.port = 0
        self._output = directory / "up.out"
        self._environment = environment(**extra)
        self._supervisor: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The gateway's URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        """What `ddb up` has said since its last start."""
        return self._output.read_text(encoding="utf-8")

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        assert self._supervisor is not None
        return self._supervisor.pid

    def start(self, seconds: float = 60) -> None:
        """Start and wait until ready. Raises StartError; on lost ports, tries others."""
        for _ in range(5):
            self.port = self.port or free_ports(self.nodes + 1)
            self.launch()
            if wait_for(lambda: READY in self.output or not self.running, seconds):
                if self.running:
                    return
                said = self.output
                if "is taken by another process" in said:
                    self.port = 0
                    continue
                raise StartError(said)
            self.stop()
            raise StartError(f"not ready within {seconds} s:\n{self.output}\n{self.logs()}")
        raise StartError("no free ports")

    def launch(self, *arguments: str) -> None:
        """Start without waiting."""
        self.port = self.port or free_ports(self.nodes + 1)
        command = ["up", "--nodes", str(self.nodes), "--port", str(self.port)]
        program = [sys.executable, "-m", "ddb"]
        if self._descriptors is not None:
            program = ["sh", "-c", f'ulimit -n {self._descriptors}; exec "$@"', "sh", *program]
        with self._output.open("wb") as output:
            self._supervisor = subprocess.Popen(
                [*program, *command, "--data", str(self.data), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environment,
                cwd=self.data.parent,
            )

    @property
    def running(self) -> bool:
        """Whether the supervisor runs."""
        return self._supervisor is not None and self._supervisor.poll() is None

    def ctl(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run `ddb COMMAND ... --data DIR`: `ctl("kill", "db-1")`."""
        return subprocess.run(
            [sys.executable, "-m", "ddb", *command, "--data", str(self.data)],
            capture_output=True,
            text=True,
            timeout=90,
            env=self._environment,
            cwd=self.data.parent,
            check=False,
        )

    def do(self, action: str, name: str) -> None:
        """Run a control command that must succeed."""
        done = self.ctl(action, name)
        assert done.returncode == 0, f"{action} {name}: {done.stdout}{done.stderr}"

    def status(self) -> dict[str, object]:
        """What `ddb status --json` says."""
        done = self.ctl("status", "--json")
        assert done.returncode == 0, done.stderr
        status = json.loads(done.stdout)
        assert isinstance(status, dict)
        return status

    def node(self, name: str) -> dict[str, object]:
        """One node's part of the status."""
        nodes = self.status()["nodes"]
        assert isinstance(nodes, list)
        found = next(each for each in nodes if each["name"] == name)
        assert isinstance(found, dict)
        return found

    def pids(self) -> dict[str, int]:
        """The process id of every process that runs, by name."""
        status = self.status()
        nodes, gateway = status["nodes"], status["gateway"]
        assert isinstance(nodes, list)
        assert isinstance(gateway, dict)
        processes = [*nodes, {"name": "gateway"} | gateway]
        return {each["name"]: each["pid"] for each in processes if each["pid"] is not None}

    def logs(self) -> str:
        """The end of every process's log."""
        return "\n".join(
            f"--- {log.name}\n{log.read_text(encoding='utf-8', errors='replace')[-2000:]}"
            for log in sorted(self.data.glob("*.log"))
        )

    def request(
        self, method: str, path: str, body: object = None, timeout: float = 5
    ) -> tuple[int, object]:
        """One HTTP request: the status, and the answer's JSON (None where it has none)."""
        request = urllib.request.Request(  # noqa: S310
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:  # noqa: S310
                return answer.status, _json(answer.read())
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, _json(refusal.read())

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal the supervisor, wait for its end, and return its exit code."""
        if self._supervisor is None:
            return 0
        if self._supervisor.poll() is None:
            self._supervisor.send_signal(number)
        try:
            return self._supervisor.wait(30)
        except subprocess.TimeoutExpired:
            self._supervisor.kill()
            self._supervisor.wait()
            raise

    def __enter__(self) -> "Cluster":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _json(text: bytes) -> object:
    return json.loads(text) if text else None
