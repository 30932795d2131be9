"""A few seeded bugs, drawn by the seed, are found: on every run of the tests other ones."""

from __future__ import annotations

import pytest

from tests.seeded_bugs.__main__ import main

SAMPLE = 3


@pytest.mark.slow
def test_a_sample_of_seeded_bugs_is_found(seed: int) -> None:
    assert main(["--sample", str(SAMPLE), "--seed", str(seed), "--jobs", "2"]) == 0
