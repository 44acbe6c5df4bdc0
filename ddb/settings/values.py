"""The text of a setting, and how it becomes a value or an error."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import NoReturn, TypeVar

LAST_PORT = 65535
HOST = re.compile(r"[A-Za-z0-9_.:%-]+")

E = TypeVar("E", bound=Enum)


class SettingsError(Exception):
    """A setting has a value that ddb cannot use."""


@dataclass(frozen=True, slots=True)
class RawValue:
    """The text that a user gave for one setting.

    Args:
        label: the flag or the environment variable that the user wrote.
        text: the value, not yet checked.
        takes: the accepted values, in plain text.
    """

    label: str
    text: str
    takes: str

    def refuse(self, reason: str = "") -> NoReturn:
        """Raise SettingsError; `reason` adds to the error why the text does not fit."""
        because = f": {reason}" if reason else ""
        raise SettingsError(
            f"{self.label} is {self.text!r}{because}. The command has not run, and no data is"
            f" affected. Set {self.label} to {self.takes}."
        )


def whole_number(low: int, high: int) -> Callable[[RawValue], int]:
    """Return a parser of whole numbers from `low` to `high`."""

    def parse(raw: RawValue) -> int:
        text = raw.text
        # The bound on the length comes first: `int` raises ValueError above 4300 digits.
        if not (text.isascii() and text.isdigit() and len(text) <= len(str(high))):
            raw.refuse()
        number = int(text)
        if not low <= number <= high:
            raw.refuse()
        return number

    return parse


def choice(values: type[E]) -> Callable[[RawValue], E]:
    """Return a parser of the values of an enum."""
    by_text = {each.value: each for each in values}

    def parse(raw: RawValue) -> E:
        if raw.text not in by_text:
            raw.refuse()
        return by_text[raw.text]

    return parse


def parse_host(raw: RawValue) -> str:
    """Parse a host name or an address."""
    if not HOST.fullmatch(raw.text):
        raw.refuse()
    return raw.text


def parse_path(raw: RawValue) -> Path:
    """Parse the path of a file or directory."""
    if "\0" in raw.text:
        raw.refuse()
    return Path(raw.text)


def parse_optional_path(raw: RawValue) -> Path | None:
    """Parse a path and make it absolute; an empty text gives None."""
    return parse_path(raw).absolute() if raw.text else None


def parse_text(raw: RawValue) -> str:
    """Return the text as it is."""
    return raw.text
