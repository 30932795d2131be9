"""A failing plan as a test file, and plans out of files.

The file stands for itself: pytest runs it, it fails as long as the bug is there, and the command line replays, draws
and shrinks it again where a seed would stand (``--plan FILE``).
"""

from __future__ import annotations

import ast
import re

from raftpy.sim.outcome import Failure
from raftpy.sim.plan import Plan

MOST_FOUND = 4_000
"""Characters of a failure's text that are kept."""
WIDTH = 110
"""Of the lines of a comment."""

_TEST = '''"""A world that broke the check {check}.

Run it again, look at it, make it smaller:

    raftpy sim replay --plan {file}
    raftpy sim draw --plan {file} --out {stem}.html
    raftpy sim shrink --plan {file} --out .
"""

from raftpy.sim.plan import Plan
from raftpy.sim.run import run

# {origin}
# What was found, after {time_s:.6f} virtual seconds:
{found}

CHECK = {check_text}
PLAN = r\'\'\'
{plan}
\'\'\'


def test_{name}() -> None:
    failure = run(Plan.from_json(PLAN)).failure
    assert failure is None, f"{{failure.check}} at {{failure.time_s:.6f}} s (it was {{CHECK}}): {{failure.text}}"
'''


def file_name(seed: int | None, check: str) -> str:
    """Of a test for a failure: ``test_seed_17_linearizable.py``; without a seed ``test_plan_..``."""
    word = re.sub(r"[^a-z0-9]+", "_", check.lower()).strip("_")[:40] or "failure"
    return f"test_{f'seed_{seed}' if seed is not None else 'plan'}_{word}.py"


def written(plan: Plan, failure: Failure, *, origin: str, seed: int | None) -> tuple[str, str]:
    """(name, text) of a test file.

    ``origin`` says where the plan comes from, and becomes a comment; ``seed`` is the one that it was drawn from.
    """
    file = file_name(seed, failure.check)
    stem = file.removesuffix(".py")
    # In a raw text in three quotes only a quote is dangerous, and JSON can write it otherwise.
    text = plan.to_json().replace("'", "\\u0027")
    return file, _TEST.format(
        check=_plain(failure.check).replace("\\", "/").replace('"', "'"),
        check_text=_quoted(failure.check),
        file=file,
        stem=stem,
        name=stem.removeprefix("test_"),
        origin=_plain(origin),
        time_s=failure.time_s,
        found=_comment(failure.text),
        plan=text,
    )


def read_plan(text: str) -> Plan:
    """The plan of a file: JSON, or a test that ``written`` has made, which is read and not run.

    Raises ``ValueError`` for anything else.
    """
    if text.lstrip().startswith("{"):
        return Plan.from_json(text)
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError) as error:
        raise ValueError("neither the JSON of a plan nor a test that holds one") from error
    for statement in statements:
        if (
            isinstance(statement, ast.Assign)
            and ast.unparse(statement.targets[0]) == "PLAN"
            and isinstance(statement.value, ast.Constant)
            and isinstance(statement.value.value, str)
        ):
            return Plan.from_json(statement.value.value)
    raise ValueError("a Python file without a PLAN")


def _plain(text: str) -> str:
    """On one line, without what ends it in any program's eyes."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def _quoted(text: str) -> str:
    """As a Python literal with double quotes."""
    quoted = ascii(text)
    return f'"{quoted[1:-1]}"' if quoted[0] == "'" and '"' not in quoted and "\\'" not in quoted else quoted


def _comment(text: str) -> str:
    lines = []
    for line in text[:MOST_FOUND].splitlines() or [""]:
        plain = "".join(sign if sign.isprintable() else " " for sign in line).rstrip()
        lines += [plain[at : at + WIDTH] for at in range(0, len(plain), WIDTH)] or [""]
    if len(text) > MOST_FOUND:
        lines.append("..")
    return "\n".join(f"#     {line}".rstrip() for line in lines)
