"""The check of the language: banned terms, exceptions, long sentences."""

import pytest

from tests.house.fragments import fragments
from tests.house.words import Exceptions, check, findings, long_sentences, read_exceptions, shrunk

NONE = Exceptions(frozenset(), frozenset())


def found(path: str, source: str) -> list[tuple[int, str]]:
    return [(each.line, each.term.name) for each in findings(path, fragments(path, source))]


def complaints(sources: dict[str, str], exceptions: Exceptions, *, whole: bool = True) -> list[str]:
    tree = {path: list(fragments(path, source)) for path, source in sources.items()}
    return check(tree, exceptions, whole=whole)


@pytest.mark.parametrize(
    ("source", "term"),
    [
        ("said = 1\n", "said"),
        ("def as_told(): ...\n", "told"),
        ("class KeptPatience: ...\n", "patience"),
        ("HARD_PATIENCE = 3.0\n", "patience"),
        ("x.let_go = 1\n", "let go"),
        ("f(whoever=1)\n", "whoever"),
        ('"""Answer what is asked."""\n', "what is"),
        ("def f():\n    # the hints that\n    # a standby lets\n    # go of\n    pass\n", "let go"),
        ("x = 1  # nobody waits\n", "nobody"),
        ('raise E("the node is out, and")\n', "out"),
        ("raise E(f'{name} took no word of it')\n", "word"),
    ],
)
def test_banned_term_is_found_in_python(source: str, term: str) -> None:
    """Names, docstrings, comments and messages are searched."""
    assert term in [name for _, name in found("a.py", source)]


@pytest.mark.parametrize(
    "source",
    [
        "sword = keyword = password = foretold\n",
        "lookup = restart = interest = lifetime = unknown\n",
        '"""Look up the host; data at rest; the rest of the connection."""\n',
        '"""A home that is out of reach; a well-known port; a REST interface."""\n',
        '"""Call `rest` and `whoever`."""\n',
        'x = d["said"]\n',
        'x = "#" + "rest"\n',
    ],
)
def test_permitted_python_is_not_reported(source: str) -> None:
    """Longer terms, field terms, code in backticks and keys are not findings."""
    assert found("a.py", source) == []


def test_markdown_prose_is_searched_and_code_is_not() -> None:
    """Fenced, indented and inline code, link targets and tags are not prose."""
    source = (
        "# A heading\n\nSome `said` text, [a link](told/known.md).\n\n"
        "```\nsaid\n```\n\n    held indented\n\nThe home <rest> holds it anew.\n"
    )
    assert found("a.md", source) == [(11, "anew")]


def test_markdown_table_cells_are_searched() -> None:
    """Every cell of a table is prose."""
    assert found("a.md", "| where | what |\n|---|---|\n| a | of which |\n") == [(3, "of which")]


def test_comments_of_other_files_are_searched() -> None:
    """A `#` comment of a shell, TOML or YAML file is searched, its commands are not."""
    assert found("a.yml", "said: 1  # as told\n") == [(1, "told")]


def test_line_of_a_finding_inside_a_docstring() -> None:
    """A finding names its own line, also after the first line of a docstring."""
    assert found("a.py", 'x = 1\n"""First.\n\nSecond, held.\n"""\n') == [(4, "held")]


def test_allowed_pair_is_accepted_for_its_path_alone() -> None:
    """An entry of `allowed.txt` covers one term in one file."""
    exceptions = Exceptions(frozenset({("a.md", "rest")}), frozenset())
    assert complaints({"a.md": "A rest.\n"}, exceptions) == []
    assert len(complaints({"a.md": "A rest, held.\n"}, exceptions)) == 1
    assert len(complaints({"a.md": "A rest.\n", "b.md": "A rest.\n"}, exceptions)) == 1


def test_any_term_accepts_a_whole_file() -> None:
    """The star accepts every term of a file."""
    exceptions = Exceptions(frozenset({("a.md", "*")}), frozenset())
    assert complaints({"a.md": "A rest, held.\n"}, exceptions) == []


def test_unused_entry_is_a_complaint() -> None:
    """An exception that no file needs fails the check of the whole tree only."""
    exceptions = Exceptions(frozenset({("a.md", "rest")}), frozenset({"gone.md"}))
    tree = {"a.md": "Clean.\n"}
    assert len(complaints(tree, exceptions)) == 2
    assert complaints(tree, exceptions, whole=False) == []


def test_clean_legacy_file_is_a_complaint() -> None:
    """A rewritten file must leave `legacy.txt`; one that is not yet rewritten passes."""
    exceptions = Exceptions(frozenset(), frozenset({"a.md", "b.md"}))
    (complaint,) = complaints({"a.md": "Clean.\n", "b.md": "It is held.\n"}, exceptions)
    assert complaint.startswith("legacy.txt: a.md is clean")


def test_shrinking_removes_obsolete_legacy_entries_only() -> None:
    """`--shrink` keeps comments and entries that still apply."""
    legacy = "# later\na.md\nb.md\ngone.md\n"
    exceptions = read_exceptions("", legacy)
    sources = {"a.md": "Clean.\n", "b.md": "It is held.\n"}
    assert shrunk(legacy, complaints(sources, exceptions)) == "# later\nb.md\n"


def test_exception_without_a_reason_is_refused() -> None:
    """An entry of `allowed.txt` has a path, a term and a reason."""
    with pytest.raises(ValueError, match="REASON"):
        read_exceptions("a.md | rest\n", "")


def test_long_sentences_are_counted_by_sentence() -> None:
    """Twenty terms pass, twenty-one do not, and a full stop starts the count again."""
    twenty = " ".join(["term"] * 20)
    source = f"**{twenty}.** {twenty}.\n\n{twenty} more.\n"
    assert [line for line, _ in long_sentences(fragments("a.md", source))] == [3]
