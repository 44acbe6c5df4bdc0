"""Planting a bug: the source of a production module is changed as it is imported."""

import importlib.machinery
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType


class DoesNotApply(Exception):
    """The code that a mutant changes is not there, or is there more than once."""


@dataclass(frozen=True, slots=True)
class Patch:
    """In `module` the text `old`, found exactly once, becomes `new`."""

    module: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """A named bug; `wrong` says what is wrong with it.

    `family`: the name of the family of plans that finds it soonest; only those are tried.
    """

    name: str
    wrong: str
    patches: tuple[Patch, ...]
    family: str


def patched(source: str, patches: Sequence[Patch]) -> str:
    """A module's source with its patches applied in order. Raises `DoesNotApply`."""
    for patch in patches:
        found = source.count(patch.old)
        if found != 1:
            raise DoesNotApply(f"{patch.module} contains {found} times:\n{patch.old}")
        source = source.replace(patch.old, patch.new)
    return source


def check_applies(mutant: Mutant) -> None:
    """Apply a mutant's patches to the files on disk, without running them.

    Raises `DoesNotApply`, and `SyntaxError` where the result does not compile.
    """
    for module in sorted({patch.module for patch in mutant.patches}):
        path = Path(*module.split(".")).with_suffix(".py")
        if not path.exists():
            raise DoesNotApply(f"there is no module {module}")
        own = [patch for patch in mutant.patches if patch.module == module]
        compile(patched(path.read_text(encoding="utf-8"), own), str(path), "exec")


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads one module with its patches applied."""

    patches: tuple[Patch, ...] = ()

    def get_code(self, fullname: str) -> CodeType | None:
        source = patched(self.get_data(self.get_filename(fullname)).decode(), self.patches)
        return compile(source, self.path, "exec", dont_inherit=True)


class _Finder:
    """Finds the patched modules before anybody else does."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, name: str, path: Sequence[str] | None, _: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        patches = tuple(patch for patch in self._mutant.patches if patch.module == name)
        if not patches:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is None or spec.origin is None:
            raise DoesNotApply(f"there is no module {name}")
        loader = _Loader(name, spec.origin)
        loader.patches = patches
        spec.loader = loader
        return spec


def plant(mutant: Mutant) -> None:
    """Change the production code for the rest of this process. Before it is imported."""
    already = [patch.module for patch in mutant.patches if patch.module in sys.modules]
    if already:
        raise DoesNotApply(f"{already} were imported before they could be changed")
    sys.meta_path.insert(0, _Finder(mutant))
