"""The numbers of the wire format stand once: raftcore.wire.codec gives them to Python, the .pxd that declares them to
C."""

from __future__ import annotations

import re

import pytest

from raftcore.wire import codec
from tests.style import source

CONSTANTS = sorted(name for name, value in vars(codec).items() if name.isupper() and isinstance(value, int))
# What they were called where they stood a second time.
OTHER_NAMES = {"CRC_SIZE": "CHECKSUM_SIZE", "OWN": "FRAME_TRANSPORT", "BLOCK_HEADER": "BLOCK_HEADER_SIZE"}


def declared(name: str) -> list[str]:
    """The files of both packages that give the name a number."""
    line = re.compile(rf"^ *(?:cdef \w+ )?{name}(?:: [\w\[\]]+)? = \w", re.MULTILINE)
    sources = source.files(".py", ".pyx", ".pxd", trees=source.PACKAGES)
    return [source.relative(path) for path in sources if line.search(path.read_text())]


def test_all_of_them_are_looked_at() -> None:
    assert {"CHECKSUM_SIZE", "FRAME_TRANSPORT", "RUN_SIZE", "BLOCK_HEADER_SIZE", "LENGTH_SIZE"} <= set(CONSTANTS)


@pytest.mark.parametrize("name", CONSTANTS)
def test_a_number_of_the_format_is_declared_once(name: str) -> None:
    assert len(declared(name)) == 1
    assert declared(name)[0].endswith(".pxd")


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_it_has_no_second_name(name: str) -> None:
    assert declared(name) == []
