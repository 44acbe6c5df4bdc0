"""The documents agree with the tree: links, planted bugs, settings, decision records."""

import re
from pathlib import Path

import pytest

from ddb.settings.table import TABLE
from ddb.wire import messages
from tests.sim.mutants.table import MUTANTS

ROOT = Path(__file__).parents[2]
FOLDERS = (".", "bench", "deploy", "docs", "docs/adr", "examples", "tests/sim")
DOCUMENTS = sorted(path for folder in FOLDERS for path in (ROOT / folder).glob("*.md"))

_CODE = re.compile(r"^ *```.*?^ *```$|`[^`\n]*`", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def anchors(document: Path) -> set[str]:
    """Return the anchors that a Markdown renderer gives to the headings of a document."""
    text = document.read_text(encoding="utf-8")
    titles = (re.sub(r"[^\w\- ]", "", title.lower()) for title in _HEADING.findall(text))
    return {title.strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(document: Path) -> None:
    """Every relative link names a file of the tree, and every anchor a heading of it."""
    text = _CODE.sub("", document.read_text(encoding="utf-8"))
    for target, anchor in _LINK.findall(text):
        path = document.parent / target if target else document
        assert path.exists(), f"{target} does not exist"
        if anchor:
            assert anchor in anchors(path), f"{target}#{anchor} does not exist"


def test_each_planted_bug_guards_one_invariant() -> None:
    """The table of invariants in ARCHITECTURE has every planted bug exactly once."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \d+ \|.*\|([^|]*)\|$", text, re.MULTILINE)
    listed = [name for row in rows for name in re.findall(r"`([^`]*)`", row)]
    assert sorted(listed) == sorted(mutant.name for mutant in MUTANTS)


def test_the_readme_has_exactly_the_settings() -> None:
    """The README's table has one row per setting, in order, with its flag and its default."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.partition("## Configure it")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|([^|]*)\|([^|]*)\|", section, re.MULTILINE)
    assert [name for name, _, _ in rows] == [variable.name for variable in TABLE]
    for variable, (_, flag, default) in zip(TABLE, rows, strict=True):
        assert f"`{variable.flag}`" in flag
        assert variable.default in default


def test_each_decision_record_is_in_the_index() -> None:
    """The index links every decision record, and each record has its four headings."""
    folder = ROOT / "docs/adr"
    index = (folder / "README.md").read_text(encoding="utf-8")
    for record in sorted(folder.glob("[0-9]*.md")):
        assert f"({record.name})" in index
        headings = {"context", "decision", "consequences", "alternatives"}
        assert headings <= anchors(record)


def test_map_has_every_module() -> None:
    """The map in ARCHITECTURE has each module of the product, and no other."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    section = text[text.index("## The map") : text.index("## Messages")]
    listed = set[str]()
    for cell in re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE):
        folder = ""
        for name in re.findall(r"`([^`]*)`", cell):
            folder = name.rpartition("/")[0] if "/" in name else folder
            listed.add(f"{folder}/{name.rpartition('/')[2]}".removeprefix("ddb/").strip("/"))
    modules = {
        str(path.relative_to(ROOT / "ddb").with_suffix(""))
        for path in (ROOT / "ddb").rglob("*.py")
        if not path.stem.startswith("__") and path.parent != ROOT / "ddb"
    }
    assert modules - listed == set()
    assert {name for name in listed if "/" in name and "." not in name} - modules == set()


def test_message_table_has_every_message() -> None:
    """The table of messages in ARCHITECTURE has each request with its replies."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    section = text[text.index("## Messages") : text.index("## One GET")]
    rows = [row.split("|") for row in section.splitlines() if row.startswith("| ")]
    requests = {name for row in rows for name in re.findall(r"`(\w+)`", row[1])}
    replies = {name for row in rows for name in re.findall(r"`(\w+)`", row[5])} | {"Failed"}
    assert requests == {each.__name__ for each in messages.Request.__args__}
    assert replies == {each.__name__ for each in messages.Reply.__args__}
