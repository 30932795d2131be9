"""Whatever store a test leaves open is closed behind it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.storage.support import OPENED


@pytest.fixture(autouse=True)
def close_stores() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()
