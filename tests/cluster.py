"""A real cluster for tests: the processes of `ddb up`, with separate ports and data."""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ddb.local.control import Request, ask
from ddb.local.layout import load
from ddb.local.status import gather
from tests.http.client import Client

ROOT = Path(__file__).parent.parent
READY = "ddb is ready"
_CONFIGURING = {"DB_N", "DB_PORT", "PORT"}
_PORTS = range(12_000, 32_000)
"""Below the range from which systems choose the local port of outgoing connections."""


class StartError(Exception):
    """`ddb up` ended before it was ready; the message is its output."""


def environment(**extra: str) -> dict[str, str]:
    """Return this process's environment without settings of ddb, and with `extra`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _CONFIGURING and not name.startswith("DDB_")
    }
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"} | extra


def free_ports(count: int) -> int:
    """Return the first of `count` consecutive ports that are all free now."""
    while True:
        first = random.randrange(_PORTS.start, _PORTS.stop - count)
        with contextlib.ExitStack() as probes:
            try:
                for port in range(first, first + count):
                    probe = probes.enter_context(socket.socket())
                    probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return first


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until the condition is true; return False on timeout."""
    began = time.monotonic()
    while not condition():
        waited = time.monotonic() - began
        if waited > seconds:
            return False
        time.sleep(min(0.02 + 0.05 * waited, 0.1))
    return True


def gone(pid: int) -> bool:
    """Return whether the process has ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in (b"Z", b"X")


class Cluster:
    """One `ddb up`. It can start and stop many times; the data stays."""

    def __init__(
        self, directory: Path, nodes: int = 3, descriptors: int | None = None, **extra: str
    ) -> None:
        """Prepare a cluster and start nothing.

        Args:
            descriptors: the limit of file descriptors per process; None leaves the machine's.
            extra: environment variables for `ddb up`.
        """
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
        """The output of `ddb up` since its last start."""
        return self._output.read_text(encoding="utf-8")

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        assert self._supervisor is not None
        return self._supervisor.pid

    def start(self, seconds: float = 60) -> None:
        """Start and wait until ready; if a port is taken, try others. Raises StartError."""
        for _ in range(5):
            self.port = self.port or free_ports(self.nodes + 1)
            self.launch()
            if wait_for(lambda: READY in self.output or not self.running, seconds):
                if self.running:
                    return
                output = self.output
                # The second one: another process took the port since `ddb up` checked it.
                if "is taken by another process" in output or "is already in use" in output:
                    self.port = 0
                    continue
                raise StartError(output)
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
        """True while the supervisor runs."""
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
        """Do what a control command does, without its process. The action must succeed."""
        reply = ask(self.data, Request(action, name))
        assert reply.ok, f"{action} {name}: {reply.message}"

    def status(self) -> dict[str, object]:
        """Return the document of `ddb status --json`, without that process."""
        # In a thread, since the caller may have a running event loop.
        with ThreadPoolExecutor(1) as thread:
            document = thread.submit(gather, load(self.data)).result()
        status = json.loads(json.dumps(document))
        assert isinstance(status, dict)
        return status

    def node(self, name: str) -> dict[str, object]:
        """Return one node's part of the status."""
        nodes = self.status()["nodes"]
        assert isinstance(nodes, list)
        found = next(each for each in nodes if each["name"] == name)
        assert isinstance(found, dict)
        return found

    def pids(self) -> dict[str, int]:
        """Return the process id of every running process, by name."""
        status = self.status()
        nodes, gateway = status["nodes"], status["gateway"]
        assert isinstance(nodes, list)
        assert isinstance(gateway, dict)
        processes = [*nodes, {"name": "gateway"} | gateway]
        return {each["name"]: each["pid"] for each in processes if each["pid"] is not None}

    def logs(self) -> str:
        """Return the end of every process's log."""
        return "\n".join(
            f"--- {log.name}\n{log.read_text(encoding='utf-8', errors='replace')[-2000:]}"
            for log in sorted(self.data.glob("*.log"))
        )

    def request(
        self, method: str, path: str, body: object = None, timeout: float = 5
    ) -> tuple[int, Any]:
        """Send one request; return the status and the JSON of the body, None if it is empty."""
        with Client(self.url, timeout) as client:
            return client.send(method, path, body).pair

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
