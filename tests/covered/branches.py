"""Outcomes of the conditions that our source holds, from gcov's records of the C that Cython makes.

Most branches in that C are not ours: checks of errors, of None, of the number of arguments, reference counts.
Counted is a branch that

  1. stands under the comment in which Cython quotes the source line that it made the C for,
  2. where that line holds one of the words in ``CONDITION``, and does not begin a function or class,
  3. and has one of the forms in ``FORMS``, those that Cython gives to a condition or to the end of a loop. They test a
     variable of the source, or a temporary (``__pyx_t_1``) that an expression of the source was put into. A check of
     Cython's own compares, calls or jumps to an error in the same line.

``if``, ``while``, each operand of ``and`` and ``or`` that can cut the rest short, and each conditional expression have
two outcomes. So has ``for``: one more item, none left (Cython makes a loop for lists, one for tuples and one for the
rest, which count as one). A chain of comparisons of one C integer that Cython makes a ``switch`` of has one for each
arm and one for none. The C that crc.pyx quotes (``cdef extern from *``) is ours as a whole: all of its branches count.

Cython moves a ``not`` inwards: "true" is said of what the C tests. An outcome of an inline function of a .pxd is
reached if it is in any module that has the function.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.covered.copy import Failed
from tests.covered.traced import ORIGIN

CONDITION = re.compile(r"\b(if|elif|while|for|and|or|not|in|else)\b")
HEADER = re.compile(r"(async def|def|cdef|cpdef|class|except|@)\b.*(:|,|\()$|@")
OPERAND = r"__pyx_(?:t_\d+|v_\w+|cur_scope)(?:(?:->|\.)\w+)*"
FORMS = {
    "if": re.compile(rf"\s*(?:\}} else )?if \((?P<not>!?){OPERAND}\) \{{$"),
    "if unlikely": re.compile(rf"\s*(?:\}} else )?if \((?:un)?likely\((?P<not>!?){OPERAND}\)\) \{{$"),
    "while": re.compile(rf"\s*if \((?P<not>!){OPERAND}\) break;$"),
    "for": re.compile(rf"\s*for \({OPERAND} = .*; {OPERAND} [<>]=? .*; {OPERAND}(?:\+|-)=\d+\) \{{$"),
    "items": re.compile(r"\s*if \((?:unlikely\()?__pyx_t_\d+ (?:>=|==) (?:__pyx_temp|-?\d+)\)?\) break;$"),
    "iterator": re.compile(r"\s*if \(unlikely\(!__pyx_t_\d+\)\) \{\n\s*PyObject\* exc_type = PyErr_Occurred"),
    "switch": re.compile(rf"\s*switch \({OPERAND}\) \{{$"),
}
# How the C of a loop over any object begins: is it a list or a tuple?
CHOICE = re.compile(r"\s*if \(likely\(!__pyx_t_\d+\)\) \{\n\s*if \(likely\(PyList_CheckExact\(")
QUOTED = re.compile(r'cdef extern from \*:\n    """\n(.*?)\n    """\n', re.DOTALL)


LOOP = -1  # in place of the order among the conditions of a line: all loops over objects there


@dataclass(frozen=True)
class Outcome:
    """One outcome of a condition: where it stands, which outcome it is, and how often it was seen."""

    file: str
    number: int
    text: str
    what: str
    count: int


@dataclass(frozen=True)
class Condition:
    """A branching line of C: the source line it was made for, which of the conditions there it is, and its form.

    ``negated``: what falls through is the case that the operand is false.
    """

    file: str
    number: int
    order: int
    form: str
    negated: bool


def conditions(c_source: str) -> Iterator[tuple[int, Condition]]:
    """The lines of a C file that branch by a condition of the source, with their numbers."""
    place: tuple[str, int] | None = None
    ours = False
    seen: Counter[tuple[str, int]] = Counter()
    numbered = [(number, line) for number, line in enumerate(c_source.splitlines(), 1) if line.strip()]
    for (number, line), (_, following) in pairwise([*numbered, (0, "")]):
        if origin := ORIGIN.match(line):
            place, ours = (origin[1], int(origin[2])), False
        elif line.endswith("# <<<<<<<<<<<<<<"):
            text = line.removesuffix("# <<<<<<<<<<<<<<").strip(" *")
            ours = bool(CONDITION.search(text.split("  #")[0])) and not HEADER.match(text.split("  #")[0].rstrip())
        elif line.startswith("}"):
            place = None
        elif place and ours and (found := form_of(line, following)):
            form, negated = found
            if following.strip() == "} else {":  # nothing to do in that case: what falls through is the other
                negated = not negated
            if form in ("items", "iterator"):
                yield number, Condition(*place, LOOP, form, negated)
            else:
                yield number, Condition(*place, seen[place], form, negated)
                seen[place] += 1


def form_of(line: str, following: str = "") -> tuple[str, bool] | None:
    """Which of the forms a line of C has, and whether it tests the contrary."""
    both = f"{line}\n{following}"
    if CHOICE.match(both):
        return None
    for name in ("iterator", *FORMS):
        if match := FORMS[name].match(both if name == "iterator" else line):
            return name, bool(match.groupdict().get("not"))
    return None


def quoted(source: str, c_source: str) -> dict[int, int]:
    """Line of C -> line of the .pyx for C that the .pyx quotes."""
    out: dict[int, int] = {}
    c_lines = [line.strip(" \\") for line in c_source.splitlines()]  # a backslash is written twice in the .pyx
    for block in QUOTED.finditer(source):
        lines = [line.strip(" \\") for line in block[1].splitlines()]
        begin = source[: block.start(1)].count("\n") + 1
        starts = [i for i in range(len(c_lines)) if c_lines[i : i + len(lines)] == lines]
        if len(starts) != 1:
            raise Failed(f"the C quoted at line {begin} stands {len(starts)} times in the generated C")
        out |= {starts[0] + 1 + i: begin + i for i in range(len(lines))}
    return out


def records(notes: Path, root: Path) -> dict[str, dict[int, list[int]]]:
    """gcov's branch counts for what one object file was compiled from: file -> line -> a count for each branch."""
    done = subprocess.run(
        ["gcov", "--json-format", "--branch-counts", "--branch-probabilities", "--stdout", str(notes)],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode or not done.stdout.strip():
        raise Failed(f"gcov {notes}: {done.stderr.strip() or 'no output'}")
    out: dict[str, dict[int, list[int]]] = {}
    files: list[dict[str, Any]] = json.loads(done.stdout)["files"]
    for file in files:
        lines = out.setdefault(file["file"], {})
        for line in file["lines"]:
            # The branch that falls through comes first: to the body of an if, not to what follows it.
            ordered = sorted(line["branches"], key=lambda branch: not branch["fallthrough"])
            counts = [branch["count"] for branch in (line["branches"] if len(ordered) != 2 else ordered)]
            before = lines.setdefault(line["line_number"], [])
            lines[line["line_number"]] = (
                [a + b for a, b in zip(before, counts, strict=True)] if len(before) == len(counts) else before + counts
            )
    return out


def names(condition: Condition, branches: int) -> list[str]:
    """What the outcomes of a condition are called, in the order of its branches."""
    if condition.form == "switch" or branches != 2:
        return [f"arm {n}" for n in range(branches)]
    if condition.form in ("items", "iterator"):
        return ["none left", "one more"]
    if condition.form == "for":
        return ["one way", "the other way"]
    if condition.form == "while":
        return ["left", "entered"]
    return ["false", "true"] if condition.negated else ["true", "false"]


def measure(folder: Path) -> list[Outcome]:
    """All outcomes of the core's conditions, of the build in ``folder``."""
    notes = sorted(folder.glob("build/temp.*/raftcore/**/*.gcno"))
    if not notes:
        raise Failed(f"no notes of gcov below {folder}/build")
    counts: Counter[tuple[str, int, int, str]] = Counter()
    for note in notes:
        name = "/".join(note.with_suffix(".c").parts[len(folder.parts) + 2 :])
        c_source = (folder / name).read_text()
        found = records(note, folder).get(name, {})
        for number, condition in conditions(c_source):
            branches = found.get(number, [])
            for what, count in zip(names(condition, len(branches)), branches, strict=True):
                counts[condition.file, condition.number, condition.order, what] += count
        source = Path(name).with_suffix(".pyx")
        for number, line in quoted((folder / source).read_text(), c_source).items():
            for order, count in enumerate(found.get(number, [])):
                counts[str(source), line, order, "branch"] += count
    texts = {file: (folder / file).read_text().splitlines() for file in {key[0] for key in counts}}
    return [
        Outcome(file, number, texts[file][number - 1].strip(), what if order == LOOP else f"{order}, {what}", count)
        for (file, number, order, what), count in sorted(counts.items())
    ]
