"""The banned vocabulary: each term, the pattern that finds it, and what to write instead."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class Term:
    """One banned term.

    `pattern` is a regular expression over lower-case text. `instead` is the advice to the author.
    """

    name: str
    pattern: str
    instead: str


BANNED: tuple[Term, ...] = (
    Term("said", r"said", "headers, args, reply or rows"),
    Term("told", r"told", "sent, notified or configured"),
    Term("word", r"words?", "reply, notice or claim; for text: term or string"),
    Term("heard", r"heard", "received"),
    Term("known", r"(?<!well-)known", "committed, stored or recorded"),
    Term("held", r"held", "stored or kept"),
    Term("let go", r"let(?:s|ting)?\s+go", "drop or remove"),
    Term("go home", r"(?:go|goes|going|gone|went|give|gives|given|giving)\s+home", "hand off"),
    Term("mend", r"mend(?:s|ed|ing)?", "repair"),
    Term("look", r"look(?:s|ed|ing)?(?!-|\s+up\b)", "read, compare or check (look up is fine)"),
    Term("sight", r"sight", "scan, or observed"),
    Term("patience", r"patience", "timeout"),
    Term("rest", r"(?<!at\s)rest(?!\s+of\b)", "pause, remaining or others (at rest is fine)"),
    Term(
        "out",
        r"(?:is|are|was|were|be|been|go|goes|going|gone|went|drops|dropped|node|home|standby|peer)"
        r"\s+out(?!\s+of\b)",
        "down, stopped or unreachable (out of reach is fine)",
    ),
    Term("stand in", r"(?:stand|stands|standing|stood)(?:\s+|-)in", "act as the standby"),
    Term("life", r"life", "boot or incarnation"),
    Term("anew", r"anew", "again"),
    Term("beside", r"beside", "next to, or compared with"),
    Term("whoever", r"who(?:m)?ever", "the actor's name"),
    Term("nobody", r"nobody", "no node, no client or no process"),
    Term("whatever", r"whatever", "any, or the name of the thing"),
    Term("what is", r"what\s+is", "the name of the thing"),
    Term("of which", r"of\s+which", "a sentence of its own"),
)

_BY_GROUP = {f"t{number}": term for number, term in enumerate(BANNED)}
_ANY = re.compile(
    "|".join(rf"(?P<{group}>\b{term.pattern}\b)" for group, term in _BY_GROUP.items())
)
_ACRONYM = re.compile(r"\bREST\b")
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def in_prose(text: str) -> Iterator[tuple[int, Term]]:
    """Yield the offset and the term of each banned term in a text. `REST` in capitals is fine."""
    lowered = _ACRONYM.sub("_api", text).lower()
    for match in _ANY.finditer(lowered):
        yield match.start(), _BY_GROUP[match.lastgroup or ""]


@cache
def in_name(name: str) -> tuple[Term, ...]:
    """Return the banned terms among the snake-case or camel-case parts of an identifier."""
    parts = " ".join(_PARTS.findall(name)).lower()
    return tuple(_BY_GROUP[match.lastgroup or ""] for match in _ANY.finditer(parts))
