"""Check the language of the tree: `python -m tests.house.words [--sentences] [PATHS]`.

The check fails where a banned term occurs, unless `allowed.txt` or `legacy.txt` accepts it. It also
fails where an entry of either file no longer applies. It counts sentences of more than 20 words.
"""

import argparse
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.house.fragments import Fragment, Kind, fragments
from tests.house.vocabulary import Term, in_name, in_prose

ROOT = Path(__file__).resolve().parents[2]
ALLOWED = Path(__file__).with_name("allowed.txt")
LEGACY = Path(__file__).with_name("legacy.txt")
FOLDERS = (".ci", "bench", "ddb", "deploy", "docs", "examples", "tests")
SUFFIXES = frozenset({".md", ".py", ".sh", ".toml", ".ini", ".yml", ".yaml"})
ANY_TERM = "*"
LONGEST_SENTENCE = 20
"""Words. The house rule; lower refuses plain sentences, higher admits ones to be read twice."""

_SENTENCE_ENDS = re.compile(r"(?<=[.!?])[)*_\"']*\s+")
_WORD = re.compile(r"\w[\w'/.-]*")
_SENTENCES = frozenset({Kind.COMMENT, Kind.DOCSTRING, Kind.PROSE})


Tree = Mapping[str, Sequence[Fragment]]
"""The fragments of each file, by its path below the root."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One banned term in one file."""

    path: str
    line: int
    term: Term

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.term.name!r}; write {self.term.instead}"


@dataclass(frozen=True, slots=True)
class Exceptions:
    """The findings that the check accepts.

    `allowed`: pairs of path and term, or of path and `ANY_TERM`. `legacy`: paths of files that are
    not yet rewritten.
    """

    allowed: frozenset[tuple[str, str]]
    legacy: frozenset[str]


def findings(path: str, content: Iterable[Fragment]) -> Iterator[Finding]:
    """Yield each banned term of a file once per line."""
    seen = set[tuple[int, str]]()
    for fragment in content:
        for line, term in _terms(fragment):
            if (line, term.name) not in seen:
                seen.add((line, term.name))
                yield Finding(path, line, term)


def _terms(fragment: Fragment) -> Iterator[tuple[int, Term]]:
    if fragment.kind is Kind.NAME:
        for term in in_name(fragment.text):
            yield fragment.line, term
        return
    for offset, term in in_prose(fragment.text):
        yield fragment.line + fragment.text.count("\n", 0, offset), term


def long_sentences(content: Iterable[Fragment]) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each sentence of more than `LONGEST_SENTENCE` words."""
    for fragment in content:
        if fragment.kind not in _SENTENCES:
            continue
        start = 0
        ends = [match.end() for match in _SENTENCE_ENDS.finditer(fragment.text)]
        for end in (*ends, len(fragment.text)):
            sentence = fragment.text[start:end]
            if len(_WORD.findall(sentence)) > LONGEST_SENTENCE:
                line = fragment.line + fragment.text.count("\n", 0, start)
                yield line, " ".join(sentence.split())
            start = end


def read_exceptions(allowed: str, legacy: str) -> Exceptions:
    """Parse both files. Raises `ValueError` for an entry of `allowed` without a reason."""
    pairs = set()
    for line in _entries(allowed):
        path, term, reason = (*(part.strip() for part in line.split("|", 2)), "", "")[:3]
        if not (path and term and reason):
            raise ValueError(f"allowed.txt takes PATH | TERM | REASON, not {line!r}")
        pairs.add((path, term))
    return Exceptions(frozenset(pairs), frozenset(_entries(legacy)))


def _entries(text: str) -> list[str]:
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def check(tree: Tree, exceptions: Exceptions, *, whole: bool) -> list[str]:
    """Return the complaints about the files of `tree`.

    `whole`: True where `tree` has all files, so that an unused exception is a complaint. False
    where it has some files only.
    """
    complaints, used = [], set[tuple[str, str]]()
    for path, content in tree.items():
        found = findings(path, content)
        if path in exceptions.legacy:
            if next(found, None) is None:
                complaints.append(f"legacy.txt: {path} is clean; remove the entry")
            continue
        for finding in found:
            matching = {(path, finding.term.name), (path, ANY_TERM)} & exceptions.allowed
            used |= matching
            if not matching:
                complaints.append(str(finding))
    if whole:
        complaints += [
            f"legacy.txt: {path} does not exist; remove the entry"
            for path in sorted(exceptions.legacy - tree.keys())
        ]
        complaints += [
            f"allowed.txt: {path} does not contain {term!r}; remove the entry"
            for path, term in sorted(exceptions.allowed - used)
        ]
    return complaints


def files(root: Path, paths: Sequence[Path]) -> Iterator[Path]:
    """Yield the files to check below `paths`, or below the folders of the project if none."""
    if not paths:
        yield from sorted(path for path in root.iterdir() if path.is_file() and _wanted(path))
        paths = [root / folder for folder in FOLDERS]
    for path in paths:
        if path.is_file():
            yield path
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
            yield from sorted(each for name in names if _wanted(each := Path(folder, name)))


def _wanted(path: Path) -> bool:
    return path.suffix in SUFFIXES or path.name == "Makefile"


def read_tree(root: Path, paths: Sequence[Path]) -> Tree:
    """Read the files, by their path below `root`."""
    tree = {}
    for path in files(root, paths):
        name = str(path.resolve().relative_to(root))
        tree[name] = list(fragments(name, path.read_text(encoding="utf-8")))
    return tree


def shrunk(legacy: str, complaints: Iterable[str]) -> str:
    """Return `legacy` without the entries that a complaint names."""
    obsolete = {line.split()[1] for line in complaints if line.startswith("legacy.txt:")}
    kept = [line for line in legacy.splitlines() if line.strip() not in obsolete]
    return "".join(f"{line}\n" for line in kept)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 clean, 1 complaints."""
    parser = argparse.ArgumentParser(prog="python -m tests.house.words", description=__doc__)
    parser.add_argument("paths", nargs="*", type=Path, help="files or folders; default: all")
    parser.add_argument("--sentences", action="store_true", help="list the long sentences")
    parser.add_argument("--shrink", action="store_true", help="remove obsolete legacy entries")
    given = parser.parse_args(arguments)
    tree = read_tree(ROOT, given.paths)
    legacy = LEGACY.read_text(encoding="utf-8")
    exceptions = read_exceptions(ALLOWED.read_text(encoding="utf-8"), legacy)
    complaints = check(tree, exceptions, whole=not given.paths)
    if given.shrink:
        LEGACY.write_text(shrunk(legacy, complaints), encoding="utf-8")
        complaints = [each for each in complaints if not each.startswith("legacy.txt:")]
    for complaint in complaints:
        print(complaint)
    long = [
        f"{path}:{line}: {sentence}"
        for path, content in tree.items()
        for line, sentence in long_sentences(content)
    ]
    if given.sentences:
        print(*long, sep="\n")
    print(
        f"{len(complaints)} complaints in {len(tree)} files, {len(exceptions.legacy)} of them"
        f" legacy; {len(long)} sentences of more than {LONGEST_SENTENCE} words (--sentences)"
    )
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
