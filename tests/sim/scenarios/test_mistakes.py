"""The mistakes that the scenarios say they catch are there, and fit the source; whether they are caught is for
``python -m tests.sim.scenarios``."""

from __future__ import annotations

import pytest

from tests.seeded_bugs.workshop import ROOT
from tests.sim.scenarios.mistakes import caught, scenarios


@pytest.mark.parametrize("scenario", scenarios())
def test_the_mistakes_of_a_scenario_fit_the_source(scenario: str) -> None:
    for bug in caught(scenario):
        assert bug.patched((ROOT / bug.file).read_text())
