"""The packaged cluster, as a user runs it: docker-compose and docker on the project's own files."""

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.cluster import ROOT, environment, wait_for

PROJECT = "ddb-test"
PORT = 8080
NODE_PORT = 8081
READY_WITHIN = 60.0
TIMEOUT = 300.0
FIVE = ROOT / "deploy" / "five.yml"
SMALL = Path(__file__).parent / "small.yml"


class EngineError(Exception):
    """A command failed; the message is what it said."""


def run(
    *command: str, check: bool = True, stdin: str = "", extra: Mapping[str, str] | None = None
) -> str:
    """What a command prints on both its outputs. Raises EngineError where it fails and must not."""
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        input=stdin,
        text=True,
        timeout=TIMEOUT,
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
    """The services of docker-compose.yml and of the files laid over it."""

    def __init__(self, *overrides: Path, nodes: int = 3, **extra: str) -> None:
        """`extra`: what is in the environment of every docker-compose command."""
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
        """Everything up from nothing, and ready."""
        self.down()
        self.compose("up", "-d")
        self.wait_ready()

    def wait_ready(self, port: int = PORT) -> None:
        """Wait for the gateway on `port` to reach two nodes of every record."""
        if not wait_for(lambda: fetch("GET", "/readyz", port=port)[0] == 200, READY_WITHIN):
            raise EngineError(f"not ready:\n{self.compose('logs', '--no-color', '--tail=30')}")

    def down(self) -> None:
        """Everything away, data too, and whatever an earlier run has left."""
        self.compose("down", "-v", "--remove-orphans", "-t", "1")

    def facts(self, name: str) -> dict[str, Any]:
        """A node's part of `ddb status`, asked for beside the gateway."""
        nodes = json.loads(self.compose("exec", "-T", "gateway", "ddb", "status", "--json"))
        found: dict[str, Any] = next(node for node in nodes["nodes"] if node["name"] == name)
        return found

    def logs(self, name: str) -> str:
        """What a container has said since it was made."""
        return docker("logs", name)

    def __enter__(self) -> "Stack":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def __repr__(self) -> str:
        return f"<Stack {' '.join(self._command[1:])}>"


def inspect(container: str, what: str) -> str:
    """One thing that the engine knows of a container, by its Go template."""
    return docker("inspect", "-f", f"{{{{{what}}}}}", container).strip()


def address(container: str) -> str:
    """The container's address on the project's network; empty where it is not connected."""
    return docker(
        "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", container
    ).strip()


def fetch(
    method: str, path: str, body: object = None, *, port: int = PORT, **headers: str
) -> tuple[int, Any]:
    """One HTTP request: the status and the answer's JSON; 0 where there was no answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"content-type": "application/json"} | named,
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            return answer.status, _json(answer.read())
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, _json(refusal.read())
    except OSError as error:
        return 0, str(error)


def insist(
    method: str, path: str, body: object = None, *, port: int = PORT, **headers: str
) -> tuple[int, Any]:
    """As `fetch`, sent again where it is answered by 503: for what is not about how soon."""
    for _ in range(40):
        status, answer = fetch(method, path, body, port=port, **headers)
        if status != 503:
            break
        time.sleep(0.05)
    return status, answer


def timed(what: Callable[[], object]) -> float:
    """Seconds that it takes."""
    began = time.monotonic()
    what()
    return time.monotonic() - began


def user(id: str, group: int = 1) -> dict[str, object]:
    """A valid user."""
    return {"id": id, "name": f"Name of {id}", "email": "a@example.com", "group": group}


def _json(text: bytes) -> Any:
    return json.loads(text) if text else None
