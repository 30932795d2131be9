"""The worlds of the scenarios leave coroutines behind that are never awaited again: those of processes that died."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"))


@pytest.fixture(autouse=True)
def _buried() -> Iterator[None]:
    """What is left of a world is collected once its test has ended, where that warning is not shown."""
    gc.disable()
    yield
    gc.collect()
    gc.enable()
