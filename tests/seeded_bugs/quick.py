"""A pytest plugin for runs that look for any failure: hypothesis stops at the first example that fails.

Making the example small, which takes longer than finding it, is for people who read it.
"""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import Phase


@pytest.hookimpl(trylast=True)  # after tests/conftest.py has chosen its profile, before a test file is imported
def pytest_configure() -> None:
    phases = [Phase.explicit, Phase.generate]
    hypothesis.settings.register_profile("any failure", deadline=None, phases=phases, database=None)
    hypothesis.settings.load_profile("any failure")
