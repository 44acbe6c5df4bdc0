"""Plants a bug: changes the source of a production module as Python imports it."""

import importlib.machinery
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType


class DoesNotApply(Exception):
    """A module does not contain the text of a patch, or contains it more than once."""


@dataclass(frozen=True, slots=True)
class Patch:
    """Replaces the text `old`, which occurs once in `module`, by `new`."""

    module: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """A planted bug.

    Args:
        wrong: one sentence about the wrong behaviour.
        family: the name of the family that finds it soonest. The hunt runs only its plans.
    """

    name: str
    wrong: str
    patches: tuple[Patch, ...]
    family: str


def patched(source: str, patches: Sequence[Patch]) -> str:
    """Return a module's source with its patches applied in order.

    Raises:
        DoesNotApply: the text of a patch does not occur exactly once.
    """
    for patch in patches:
        found = source.count(patch.old)
        if found != 1:
            raise DoesNotApply(f"{patch.module} contains {found} times:\n{patch.old}")
        source = source.replace(patch.old, patch.new)
    return source


def check_applies(mutant: Mutant) -> None:
    """Apply a mutant's patches to the files on disk, without running them.

    Raises:
        DoesNotApply: the text of a patch does not occur exactly once.
        SyntaxError: the patched source does not compile.
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
    """Finds the patched modules before Python's own finders do."""

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
    """Patch the production code for the rest of this process.

    Raises:
        DoesNotApply: a patched module is already imported.
    """
    already = [patch.module for patch in mutant.patches if patch.module in sys.modules]
    if already:
        raise DoesNotApply(f"{already} were imported before they could be changed")
    sys.meta_path.insert(0, _Finder(mutant))
