"""Transcript text -> commands.

    # a comment
    command argument key=value key=(value, value)
    optional input lines
    ----
    expected output, up to the next blank line

Output that holds blank lines itself is framed: it begins after a second ``----`` and ends with two of them. A command
line may be continued by a backslash at its end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

SEPARATOR = "----"
_WORD = re.compile(r"(?P<key>[^\s=()]+)(?:=(?:\((?P<list>[^()]*)\)|(?P<value>[^\s()]*)))?(?=\s|$)")


class TranscriptError(Exception):
    """The transcript itself is wrong: a command, option or argument that the language does not have."""


@dataclass(frozen=True)
class Argument:
    """``key``, or ``key=value`` (one value), or ``key=(a,b)`` (any number of values; None when there is no ``=``)."""

    key: str
    values: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Case:
    """One command with its arguments, input lines and the output it must print."""

    line: int
    """Number of the command's line in its file, from 1."""
    text: str
    """The command as it stands in the file."""
    name: str
    arguments: tuple[Argument, ...]
    input: tuple[str, ...]
    expected: tuple[str, ...]


def parse_command(text: str) -> tuple[str, tuple[Argument, ...]]:
    """The name and the arguments of one command line."""
    words: list[Argument] = []
    at = 0
    text = text.strip()
    while at < len(text):
        match = _WORD.match(text, at)
        if match is None:
            raise TranscriptError(f"cannot read {text[at:]!r} of the command {text!r}")
        values: tuple[str, ...] | None = None
        if match["list"] is not None:
            values = tuple(value.strip() for value in match["list"].split(",")) if match["list"].strip() else ()
        elif match["value"] is not None:
            values = (match["value"],)
        words.append(Argument(match["key"], values))
        at = match.end()
        at += len(text[at:]) - len(text[at:].lstrip())
    if words[0].values is not None:
        raise TranscriptError(f"a command begins with its name, not with {text!r}")
    return words[0].key, tuple(words[1:])


def parse(text: str) -> list[Case]:
    """All commands of a transcript or table; TranscriptError for one without output or with an unclosed frame."""
    lines = text.split("\n")
    cases: list[Case] = []
    at = 0
    while at < len(lines):
        if not lines[at].strip() or lines[at].startswith("#"):
            at += 1
            continue
        case, at = _parse_case(lines, at)
        cases.append(case)
    return cases


def _parse_case(lines: list[str], at: int) -> tuple[Case, int]:
    line = at + 1
    command = lines[at].strip()
    at += 1
    while command.endswith("\\") and at < len(lines):
        command = command[:-1].strip() + " " + lines[at].strip()
        at += 1
    given: list[str] = []
    while at < len(lines) and lines[at] != SEPARATOR:
        if not lines[at].strip():
            raise TranscriptError(f"line {line}: no {SEPARATOR} after the command {command!r}")
        given.append(lines[at].strip())
        at += 1
    if at == len(lines):
        raise TranscriptError(f"line {line}: no {SEPARATOR} after the command {command!r}")
    expected, at = _parse_output(lines, at + 1, line)
    try:
        name, arguments = parse_command(command)
    except TranscriptError as error:
        raise TranscriptError(f"line {line}: {error}") from None
    return Case(line, command, name, arguments, tuple(given), tuple(expected)), at


def _parse_output(lines: list[str], at: int, line: int) -> tuple[list[str], int]:
    output: list[str] = []
    if at < len(lines) and lines[at] == SEPARATOR:
        at += 1
        while lines[at : at + 2] != [SEPARATOR, SEPARATOR]:
            if at >= len(lines):
                raise TranscriptError(f"line {line}: the framed output has no end ({SEPARATOR} twice)")
            output.append(lines[at])
            at += 1
        return output, at + 2
    while at < len(lines) and lines[at].strip():
        output.append(lines[at])
        at += 1
    return output, at
