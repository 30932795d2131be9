"""What a difference looks like in print."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pprint import pformat
from typing import Any

from raftcore import MessageType
from tests.model.check import Result

FIELDS = (
    "type", "to", "from", "term", "log_term", "index", "commit", "vote", "reject", "reject_hint", "conf_index",
    "must_sync", "entries", "snapshot", "context", "responses",
)  # fmt: skip
MOST_WIDTH = 400
MOST_LINES = 80


def report(found: Result, count: int) -> str:
    """A difference with the steps that led to it, and the command that shows it again."""
    seed = found.cluster.seed
    lines = [
        f"seed {seed}, step {found.numbers[-1] if found.numbers else 'none'}: {found.what}",
        f"  cluster: {found.cluster.describe()}",
        "  the last steps:",
        *(f"    {done.number:5} {done.what}"[:MOST_WIDTH] for done in found.history),
        "  - core, + model:",
        *list(difference(found))[:MOST_LINES],
    ]
    return "\n".join(lines)


def replay_command(found: Result, count: int, *, shrunk: bool = False) -> str:
    """The arguments that show the same difference."""
    command = f"python -m tests.model --seeds 1 --seed {found.cluster.seed} --steps {count}"
    return command + (f" --only {','.join(map(str, found.numbers))}" if shrunk else "")


def difference(found: Result) -> Iterator[str]:
    if isinstance(found.core, str) and found.model is None:
        yield from (f"    {line}" for line in found.core.splitlines())
        return
    core, model = (pformat(readable(side), width=110).splitlines() for side in (found.core, found.model))
    for line in difflib.ndiff(core, model):
        if not line.startswith("?"):
            yield f"    {line}"[:MOST_WIDTH]


def readable(value: Any) -> Any:
    """The same with messages as text."""
    if isinstance(value, dict):
        return {name: readable(part) for name, part in value.items()}
    if isinstance(value, tuple) and len(value) == len(FIELDS) and isinstance(value[-1], tuple):
        return described(value)
    if isinstance(value, list):
        return [readable(part) for part in value]
    return value


def described(message: tuple[Any, ...]) -> str:
    words = [MessageType(message[0]).name]
    for name, part in list(zip(FIELDS, message, strict=True))[1:]:
        if name == "responses":
            words += [f"response=({described(response)})" for response in part]
        elif name == "entries":
            words += [f"{e.term}/{e.index}:{e.kind}:{e.data[:12]!r}@{e.time}" for e in part]
        elif part:
            words.append(f"{name}={part}")
    return " ".join(words)
