"""What a command prints, and which part of that is compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

LEVELS = ("debug", "info", "warn", "error", "fatal", "none")
_LOGGER_WORDS = ("DEBUG", "INFO", "WARN", "ERROR")


class Output:
    """Lines printed so far by the running command; at level ``none`` nothing is kept but errors."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.level = 0
        self._indent = ""

    @property
    def quiet(self) -> bool:
        return self.level == len(LEVELS) - 1

    def write(self, text: str) -> None:
        """Print text, a line or several."""
        if not self.quiet:
            self.lines.extend(self._indent + line for line in text.split("\n"))

    def log(self, level: str, text: str) -> None:
        """Print a line of a node's logger, if the level asks for it."""
        number = LEVELS.index(level.lower().replace("warning", "warn"))
        if self.level <= number:
            self.write(f"{LEVELS[number].upper()} {text}")

    def error(self, text: str) -> None:
        """Print what went wrong; at level ``none`` too."""
        self.lines.extend(self._indent + line for line in text.split("\n"))

    @contextmanager
    def indented(self) -> Iterator[None]:
        """Everything printed inside stands two columns to the right."""
        before = self._indent
        self._indent += "  "
        try:
            yield
        finally:
            self._indent = before

    @contextmanager
    def at_level(self, name: str | None) -> Iterator[None]:
        """The level holds inside, and what it was before holds afterwards; None changes nothing."""
        before = self.level
        if name is not None:
            self.set_level(name)
        try:
            yield
        finally:
            self.level = before

    def set_level(self, name: str) -> None:
        """ValueError for a name that is none."""
        if name.lower() not in LEVELS:
            raise ValueError(f"log level {name!r}: it must be one of {', '.join(LEVELS)}")
        self.level = LEVELS.index(name.lower())

    def take(self) -> list[str]:
        """All lines since the last call; ``ok`` when there are none."""
        lines, self.lines = self.lines, []
        return lines or ["ok"]


def compared(lines: Sequence[str]) -> list[str]:
    """The lines that count: those of the logger do not, and what holds nothing else counts as ``ok``."""
    return [line for line in lines if line.split()[:1] not in [[word] for word in _LOGGER_WORDS]] or ["ok"]
