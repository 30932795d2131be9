"""A command's arguments, taken one by one; what nobody asks for is an error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from tests.interaction.parser import Argument, TranscriptError

Choice = TypeVar("Choice")


class Arguments:
    """A command's arguments: plain words first, then options by name; whatever is left over at the end is an error."""

    def __init__(self, arguments: Sequence[Argument]) -> None:
        self._words = [argument.key for argument in arguments if argument.values is None]
        self._options: dict[str, tuple[str, ...]] = {}
        for argument in arguments:
            if argument.values is not None:
                if argument.key in self._options:
                    raise TranscriptError(f"option {argument.key}: it is given twice")
                self._options[argument.key] = argument.values

    def word(self, name: str) -> str:
        if not self._words:
            raise TranscriptError(f"the argument {name} is missing")
        return self._words.pop(0)

    def number(self, name: str) -> int:
        return number(name, self.word(name))

    def numbers(self, name: str, *, at_least: int = 0) -> list[int]:
        """All plain words left, as numbers."""
        values = [self.number(name) for _ in range(len(self._words))]
        if len(values) < at_least:
            raise TranscriptError(f"the argument {name} is missing")
        return values

    def option(self, name: str) -> str | None:
        values = self._options.pop(name, None)
        if values is not None and len(values) != 1:
            raise TranscriptError(f"option {name}: it takes one value, not {len(values)}")
        return values[0] if values else None

    def number_option(self, name: str) -> int | None:
        value = self.option(name)
        return None if value is None else number(name, value)

    def bool_option(self, name: str) -> bool | None:
        value = self.option(name)
        return None if value is None else one_of(name, value, {"true": True, "false": False})

    def single(self, name: str) -> str | None:
        """The option's value if it has exactly one; it stays to be taken."""
        values = self._options.get(name, ())
        return values[0] if len(values) == 1 else None

    def values(self, name: str) -> tuple[str, ...]:
        """All values of an option; none when it is not given."""
        return self._options.pop(name, ())

    def id_list(self, name: str) -> tuple[int, ...]:
        return tuple(number(name, value) for value in self.values(name))

    def finish(self) -> None:
        """TranscriptError when something has not been asked for."""
        left = [*self._words, *(f"{name}=" for name in self._options)]
        if left:
            raise TranscriptError(f"unknown argument or option: {' '.join(left)}")


def number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise TranscriptError(f"{name} {text!r}: it must be a number")
    return int(text)


def one_of(name: str, text: str, choices: Mapping[str, Choice]) -> Choice:
    if text not in choices:
        raise TranscriptError(f"{name} {text!r}: it must be one of {', '.join(choices)}")
    return choices[text]
