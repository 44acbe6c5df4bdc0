"""The text that `ddb up` shows when the cluster is ready."""

import shlex
import shutil
import sys
from pathlib import Path


def banner(url: str, data: Path) -> str:
    """Return the URL, and commands to try that a shell takes as they are."""
    user = '{"id":"ada","name":"Ada Lovelace","email":"ada@example.com","group":1}'
    at = "" if data == Path("data").absolute() else f" --data {shlex.quote(str(data))}"
    return f"""
ddb is ready: {url}   (Ctrl-C stops it)

  curl -i {url}/api/users/ -d '{user}'
  curl -i {url}/api/users/ada
  curl -i {url}/api/users/count

Break it from another terminal:  {_program()} kill db-1{at}
and watch it:                    {_program()} status{at}
"""


def _program() -> str:
    """Return the command that runs this installation from the current directory."""
    script = Path(sys.executable).parent / "ddb"
    if shutil.which("ddb") == str(script):
        return "ddb"
    if not script.exists():
        return f"{shlex.quote(sys.executable)} -m ddb"
    here = Path.cwd()
    path = script.relative_to(here) if script.is_relative_to(here) else script
    return shlex.quote(str(path))
