"""What docs/testing.md shows of adding to the simulator does what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

USE = """
from raftpy.sim.plan import Fault
from raftpy.sim.swarm import draw_plan
outcome = run(Plan(seed=2, duration_s=0.5, faults=(Fault(at_s=0.2, kind="hiccup", node=1, value=0.02),)), record=True)
assert outcome.failure is None, outcome.failure
assert sum(event.kind == "pause" for event in outcome.trace) == 3
assert any(fault.kind == "hiccup" for seed in range(200) for fault in draw_plan(seed).faults)
split = tuple(Fault(at_s=0.3 + n, kind="isolate", node=1 + n, value=0.9) for n in range(3))
outcome = run(Plan(seed=2, duration_s=4.0, faults=split))
assert outcome.failure is None and outcome.reached["a node came to a second term"]
def look_at_terms(checks, member, life, raw, seen, group, changes):
    raise Broken("terms stay low", "at once")
Checks._changed = look_at_terms
assert run(Plan(seed=2, duration_s=0.2)).failure.check == "terms stay low"
"""


def test_a_fault_a_check_a_sometimes_and_a_seeded_bug_are_added_as_shown() -> None:
    section = (ROOT / "docs" / "testing.md").read_text().partition("how to add to it\n")[2].partition("\n### ")[0]
    shown = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len(shown) == 4
    assert all(sum(bool(line) for line in code.splitlines()) <= 11 for code in shown)
    # A kind of fault must be counted, too: sometimes.py takes those in that are there when it is imported.
    done = subprocess.run(
        [sys.executable, "-c", "\n".join([*shown, USE])],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
