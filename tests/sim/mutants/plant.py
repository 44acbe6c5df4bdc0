"""Planting a bug: the source of a production module is changed as it is imported."""

import importlib.machinery
import sys
from collections.abc import Sequence
from dataclasses import dataclass
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


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads one module with its patches applied."""

    patches: tuple[Patch, ...] = ()

    def get_code(self, fullname: str) -> CodeType | None:
        source = self.get_data(self.get_filename(fullname)).decode()
        for patch in self.patches:
            found = source.count(patch.old)
            if found != 1:
                raise DoesNotApply(f"{fullname} has {found} times:\n{patch.old}")
            source = source.replace(patch.old, patch.new)
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
