"""``python -m tests.sim.scenarios [NAME...]``: does each scenario fail with each mistake that it says it catches?

One copy of the tree, in which one mistake after the other is put in and built. A line for each. Exit status: 0 all were
caught; 1 a scenario passed with a mistake in the tree, or fails without any; 2 no such scenario.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.seeded_bugs.bug import PatchError
from tests.seeded_bugs.finders import SIGNS
from tests.seeded_bugs.workshop import Done, Workshop, check_built, tail
from tests.sim.scenarios.mistakes import caught, scenarios

LIMIT_S = 300.0


def look(workshop: Workshop, scenario: str) -> Done:
    """Runs the scenario in the copy."""
    path = f"tests/sim/scenarios/test_{scenario}.py"
    return workshop.run(["-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", path], LIMIT_S)


def evidence(done: Done) -> str:
    """One line of what a failed run saw."""
    lines = [line for line in done.output.splitlines() if SIGNS["tables"].match(line)]
    return lines[0] if lines else tail(done.output, 1)


def main(names: list[str]) -> int:
    if unknown := sorted(set(names) - set(scenarios())):
        print(f"no such scenario: {', '.join(unknown)}; there are {', '.join(scenarios())}", file=sys.stderr)
        return 2
    check_built()
    status = 0
    with tempfile.TemporaryDirectory(prefix="scenarios-") as folder:
        workshop = Workshop(Path(folder) / "tree")
        for scenario in names or scenarios():
            clean = look(workshop, scenario)
            if clean.status != 0:
                print(f"{scenario}: fails without any mistake: {evidence(clean)}", flush=True)
                status = 1
                continue
            for bug in caught(scenario):
                try:
                    with workshop.seeded(bug):
                        done = look(workshop, scenario)
                except PatchError as error:
                    print(f"{scenario}: {error}", flush=True)
                    status = 1
                    continue
                found = done.status is not None and done.status not in (0, 2, 3, 4, 5)
                status = status if found else 1
                verdict = f"caught: {evidence(done)}" if found else f"NOT CAUGHT (status {done.status})"
                print(f"{scenario}: {bug.name}: {verdict}", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
