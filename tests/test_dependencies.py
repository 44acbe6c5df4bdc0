"""The dependencies of each process agree with pyproject.toml."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
MODULES = {"jsonschema-rs": "jsonschema_rs"}
"""Packages whose module has another name."""


def names(requirements: Iterable[str]) -> set[str]:
    """Return the packages that the requirements name."""
    return {re.split(r"[<>=~!\[ ]", each)[0] for each in requirements}


def listed(path: str) -> list[str]:
    """Return the requirements in a file, without comments."""
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    return [line.split("#")[0].strip() for line in lines if line.split("#")[0].strip()]


def imported(*folders: str) -> set[str]:
    """Return the packages outside the standard library that the modules import."""
    packages = set()
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    packages |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module is not None:
                    packages.add(node.module.split(".")[0])
    return packages - set(sys.stdlib_module_names) - {"ddb"}


@pytest.mark.parametrize(("image", "extra"), [("db", "node"), ("gateway", "gateway")])
def test_images_install_their_extra(image: str, extra: str) -> None:
    """A container installs exactly the dependencies of its process."""
    assert set(listed(f"deploy/{image}.txt")) == names(PROJECT["dependencies"] + EXTRAS[extra])


@pytest.mark.parametrize(
    ("extra", "folders"),
    [
        ("node", ["ddb/node", "ddb/record", "ddb/ring", "ddb/wire"]),
        ("gateway", ["ddb/gateway", "ddb/record", "ddb/ring", "ddb/wire"]),
    ],
)
def test_extras_match_the_imports(extra: str, folders: list[str]) -> None:
    """The dependencies of each process are the packages that it imports."""
    needed = names(PROJECT["dependencies"] + EXTRAS[extra])
    assert imported(*folders) == {MODULES.get(name, name) for name in needed}


def test_every_dependency_is_pinned() -> None:
    """requirements.txt pins every dependency of the processes and of the client."""
    pinned = names(listed("requirements.txt"))
    wanted = PROJECT["dependencies"] + EXTRAS["node"] + EXTRAS["gateway"] + EXTRAS["client"]
    assert names(wanted) <= pinned
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+", line) for line in listed("requirements.txt"))


def test_uvicorn_is_limited_to_patch_versions() -> None:
    """The gateway accepts only patch releases of one minor version of uvicorn."""
    (pin,) = (each for each in EXTRAS["gateway"] if each.startswith("uvicorn"))
    low, high = re.fullmatch(r"uvicorn>=0\.(\d+),<0\.(\d+)", pin).groups()  # type: ignore[union-attr]
    assert int(high) == int(low) + 1
