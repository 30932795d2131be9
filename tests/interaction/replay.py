"""A whole file: its kind, its commands one after another, and the first difference."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from raftcore.values.message import Message
from raftcore.wire.codec import decode_message, encode_message
from tests.interaction import commands, tables
from tests.interaction.environment import Environment
from tests.interaction.output import compared
from tests.interaction.parser import Case, TranscriptError, parse

Runner = Callable[[Case], list[str]]
Selection = Callable[[Sequence[str]], list[str]]


@dataclass(frozen=True)
class Difference:
    """The first command whose output is not what the file says, or the fault that ended the replay there."""

    path: Path
    line: int
    command: str
    expected: tuple[str, ...]
    got: tuple[str, ...]
    fault: str | None = None

    def __str__(self) -> str:
        place = f"FAILED {self.path}:{self.line}: {self.command}"
        if self.fault is not None:
            return f"{place}\n  {self.fault}"
        return "\n".join(
            [place, "  expected:", *_marked(self.expected, self.got), "  got:", *_marked(self.got, self.expected)]
        )


@dataclass(frozen=True)
class Result:
    """How the replay of one file went."""

    path: Path
    commands: int
    difference: Difference | None = None

    def __str__(self) -> str:
        return str(self.difference) if self.difference else f"ok {self.path} ({self.commands} commands)"


def replay(path: Path, *, through_codec: bool = False) -> Result:
    """Replay one file. `through_codec`: every message that crosses the network is encoded and decoded on the way."""
    try:
        cases = parse(path.read_text(encoding="utf-8"))
        if not cases:
            raise TranscriptError("no commands in this file")
    except (TranscriptError, UnicodeDecodeError) as error:
        return Result(path, 0, Difference(path, 1, "", (), (), str(error)))
    run, selected = _kind(cases[0], through_codec)
    for number, case in enumerate(cases):
        difference = _difference(path, case, run, selected)
        if difference is not None:
            return Result(path, number, difference)
    return Result(path, len(cases))


def _kind(first: Case, through_codec: bool) -> tuple[Runner, Selection]:
    """The kinds of file are told apart by their first command."""
    if first.name in ("committed", "vote"):
        return tables.run_quorum, tables.result_of
    if first.name in ("simple", "enter-joint", "leave-joint"):
        return tables.ConfChangeTable().run, list
    environment = Environment(carry_encoded) if through_codec else Environment()
    return lambda case: commands.run(environment, case), compared


def _difference(path: Path, case: Case, run: Runner, selected: Selection) -> Difference | None:
    try:
        got, expected = selected(run(case)), selected(case.expected)
    except TranscriptError as error:
        return Difference(path, case.line, case.text, (), (), str(error))
    except Exception:  # whatever the core does wrong is this command's outcome, and the other files go on
        return Difference(path, case.line, case.text, (), (), traceback.format_exc())
    if got == expected:
        return None
    return Difference(path, case.line, case.text, tuple(expected), tuple(got))


def carry_encoded(message: Message) -> Message:
    """What arrives at the other end of a network; TranscriptError when that is not what was sent."""
    kind, body = encode_message(message)
    arrived = decode_message(kind, body)
    # Sender and receiver travel in the datagram's header, unless the message is forwarded for somebody else.
    arrived.from_ = arrived.from_ or message.from_
    arrived.to = arrived.to or message.to
    if arrived != message:
        raise TranscriptError(f"{message!r} arrives through the codec as {arrived!r}")
    return arrived


def _marked(lines: Sequence[str], others: Sequence[str]) -> list[str]:
    """The lines, with a `>` at the first one that differs from the other side."""
    differs = next((at for at, line in enumerate(lines) if list(others[at : at + 1]) != [line]), None)
    return [f"  {'>' if at == differs else ' '} {line}" for at, line in enumerate(lines)]
