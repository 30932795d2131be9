"""Which scenario is to fail with which mistake."""

from __future__ import annotations

import importlib
from pathlib import Path

from tests.seeded_bugs.bug import Patch
from tests.seeded_bugs.bugs import BUGS
from tests.seeded_bugs.worlds.bugs import BUGS as DRIVER_BUGS

HERE = Path(__file__).parent


def scenarios() -> list[str]:
    """Names of the scenarios' files, without ``test_`` and ``.py``."""
    names = sorted(path.stem.removeprefix("test_") for path in HERE.glob("test_*.py"))
    return [name for name in names if name != "mistakes"]


def caught(scenario: str) -> list[Patch]:
    """The mistakes that the scenario says it catches. KeyError for a seeded bug that is not known."""
    module = importlib.import_module(f"{__package__}.test_{scenario}")
    known: dict[str, Patch] = {bug.name: bug for bug in (*BUGS, *DRIVER_BUGS)}
    return [one if isinstance(one, Patch) else known[one] for one in module.CAUGHT]
