"""What each process depends on: one list in pyproject.toml, and what is made from it."""

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
"""Packages whose module is not called like them."""


def names(requirements: Iterable[str]) -> set[str]:
    """The packages that requirements name."""
    return {re.split(r"[<>=~!\[ ]", each)[0] for each in requirements}


def listed(path: str) -> list[str]:
    """The requirements in a file, without its comments."""
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    return [line.split("#")[0].strip() for line in lines if line.split("#")[0].strip()]


def imported(*folders: str) -> set[str]:
    """The packages beyond the standard library that modules import."""
    found = set()
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    found |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module is not None:
                    found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"ddb"}


@pytest.mark.parametrize(("image", "extra"), [("db", "node"), ("gateway", "gateway")])
def test_images_install_their_extra(image: str, extra: str) -> None:
    """A container has what its process depends on, and no more."""
    assert set(listed(f"deploy/{image}.txt")) == names(PROJECT["dependencies"] + EXTRAS[extra])


@pytest.mark.parametrize(
    ("extra", "folders"),
    [
        ("node", ["ddb/node", "ddb/record", "ddb/ring", "ddb/wire"]),
        ("gateway", ["ddb/gateway", "ddb/record", "ddb/ring", "ddb/wire"]),
    ],
)
def test_extras_are_what_is_imported(extra: str, folders: list[str]) -> None:
    """Each process's dependencies are the packages that it imports."""
    needed = names(PROJECT["dependencies"] + EXTRAS[extra])
    assert imported(*folders) == {MODULES.get(name, name) for name in needed}


def test_every_dependency_is_pinned() -> None:
    """requirements.txt pins everything of the default install: all processes, and the client."""
    pinned = names(listed("requirements.txt"))
    wanted = PROJECT["dependencies"] + EXTRAS["node"] + EXTRAS["gateway"] + EXTRAS["client"]
    assert names(wanted) <= pinned
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+", line) for line in listed("requirements.txt"))


def test_uvicorn_is_held_to_patch_versions() -> None:
    """Another minor version of uvicorn is not installed before its names are checked."""
    (pin,) = (each for each in EXTRAS["gateway"] if each.startswith("uvicorn"))
    low, high = re.fullmatch(r"uvicorn>=0\.(\d+),<0\.(\d+)", pin).groups()  # type: ignore[union-attr]
    assert int(high) == int(low) + 1
