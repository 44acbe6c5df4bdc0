"""The packaged cluster, run by docker and docker-compose."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.cluster import ROOT, environment, wait_for
from tests.http.client import Client
from tests.http.retries import RETRIES

PROJECT = "ddb-test"
PORT = 8080
NODE_PORT = 8081
READY_TIMEOUT_S = 60.0
"""Time from `up` to the gateway's readiness. Lower: a busy machine fails the tests."""
COMMAND_TIMEOUT_S = 300.0
"""Time for one command. Lower: the first build on a slow machine fails."""
ANSWER_TIMEOUT_S = 5.0
"""Time for one answer. Lower: a busy machine fails the tests."""
TRIES_AFTER_503 = 40
"""Lower: a cluster without one of its nodes fails a test. Higher: a broken one fails it late."""
FIVE = ROOT / "deploy" / "five.yml"
SMALL = Path(__file__).parent / "small.yml"


class EngineError(Exception):
    """A command failed; the message contains its output."""


def run(
    *command: str, check: bool = True, stdin: str = "", extra: Mapping[str, str] | None = None
) -> str:
    """Run a command and return its output and errors together.

    Args:
        command: The program and its arguments.
        check: True: raise `EngineError` if the command fails. False: return the output anyway.
        stdin: The input of the command.
        extra: Additional environment variables.
    """
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        input=stdin,
        text=True,
        timeout=COMMAND_TIMEOUT_S,
        env=environment(COMPOSE_PROJECT_NAME=PROJECT, **extra or {}),
        cwd=ROOT,
        check=False,
    )
    if check and done.returncode:
        raise EngineError(f"{' '.join(command)} failed:\n{done.stdout}")
    return done.stdout


def docker(*arguments: str, check: bool = True, stdin: str = "") -> str:
    """Run `docker ...`."""
    return run("docker", *arguments, check=check, stdin=stdin)


class Stack:
    """The services of docker-compose.yml and of its override files."""

    def __init__(self, *overrides: Path, nodes: int = 3, **extra: str) -> None:
        """Prepare the commands.

        Args:
            overrides: Override files, in the order in which docker-compose reads them.
            nodes: The number of nodes.
            extra: Environment variables of every docker-compose command.
        """
        self.names = tuple(f"db-{number}" for number in range(nodes))
        self._extra = extra
        command = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]
        for file in (ROOT / "docker-compose.yml", *overrides):
            command += ["-f", str(file)]
        self._command = command

    def compose(self, *arguments: str, check: bool = True, **extra: str) -> str:
        """Run `docker-compose ...`."""
        return run(*self._command, *arguments, check=check, extra=self._extra | extra)

    def start(self) -> None:
        """Start all services without data and wait for readiness."""
        self.down()
        self.compose("up", "-d")
        self.wait_ready()

    def wait_ready(self, port: int = PORT) -> None:
        """Wait until the gateway reaches two nodes of every cell."""
        if not wait_for(lambda: fetch("GET", "/readyz", port=port)[0] == 200, READY_TIMEOUT_S):
            logs = self.compose("logs", "--no-color", "--tail=30")
            raise EngineError(f"not ready after {READY_TIMEOUT_S:.0f} s:\n{logs}")

    def down(self) -> None:
        """Remove all containers and volumes, also those of earlier runs."""
        self.compose("down", "-v", "--remove-orphans", "-t", "1")

    def facts(self, name: str) -> dict[str, Any]:
        """Return a node's part of `ddb status --json`."""
        # The exit code is the verdict; the document is complete at any verdict.
        status = json.loads(
            self.compose("exec", "-T", "gateway", "ddb", "status", "--json", check=False)
        )
        facts: dict[str, Any] = next(node for node in status["nodes"] if node["name"] == name)
        return facts

    def logs(self, name: str) -> str:
        """Return the log of a container since its creation."""
        return docker("logs", name)

    def __enter__(self) -> "Stack":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def __repr__(self) -> str:
        return f"<Stack {' '.join(self._command[1:])}>"


def inspect(container: str, field: str) -> str:
    """Return one field of a container's description, such as ".State.ExitCode"."""
    return docker("inspect", "-f", f"{{{{{field}}}}}", container).strip()


def address(container: str) -> str:
    """Return the container's address on the network; "" if disconnected."""
    return docker(
        "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", container
    ).strip()


def fetch(
    method: str, path: str, body: object = None, *, port: int = PORT, **headers: str
) -> tuple[int, Any]:
    """Send one HTTP request. Return the status and the JSON of the answer.

    The status is 0 if there is no answer; the error then replaces the JSON. `headers` are names
    with `_` for `-`.
    """
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with Client(f"http://127.0.0.1:{port}", ANSWER_TIMEOUT_S) as client:
            return client.send(method, path, body, named).pair
    except OSError as error:
        return 0, str(error)


def insist(
    method: str, path: str, body: object = None, *, port: int = PORT, **headers: str
) -> tuple[int, Any]:
    """Like `fetch`, but repeat after a 503."""
    for _ in range(TRIES_AFTER_503):
        status, answer = fetch(method, path, body, port=port, **headers)
        RETRIES.add(1, status == 503)
        if status != 503:
            break
        time.sleep(0.05)
    return status, answer


def timed(action: Callable[[], object]) -> float:
    """Run `action` and return the seconds that it takes."""
    began = time.monotonic()
    action()
    return time.monotonic() - began


def user(id: str, group: int = 1) -> dict[str, object]:
    """Return a valid user."""
    return {"id": id, "name": f"Name of {id}", "email": "a@example.com", "group": group}
