"""Worlds that a test has on its stage leave coroutines behind that are never awaited again: of processes that died."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
STAGED = (HERE / "scenarios", HERE / "test_faults.py", HERE / "test_snapshot_faults.py")


def _staged(path: Path) -> bool:
    return any(place in (path, *path.parents) for place in STAGED)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _staged(item.path):
            item.add_marker(pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"))


@pytest.fixture(autouse=True)
def _buried(request: pytest.FixtureRequest) -> Iterator[None]:
    """What is left of such a world is collected once its test has ended, where that warning is not shown."""
    if not _staged(request.path):
        yield
        return
    gc.disable()
    yield
    gc.collect()
    gc.enable()
