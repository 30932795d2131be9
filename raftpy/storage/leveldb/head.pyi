"""The head of a group's log; the docstrings are in head.pyx."""

from struct import Struct
from typing import final

from raftcore.values.message import HardState

HEAD: Struct

@final
class Head:
    boot: int
    term: int
    vote: int
    commit: int
    prev_index: int
    prev_term: int
    last_index: int
    last_term: int
    cut: int
    closed: int
    number: int
    def __init__(
        self,
        boot: int = 0,
        term: int = 0,
        vote: int = 0,
        commit: int = 0,
        prev_index: int = 0,
        prev_term: int = 0,
        last_index: int = 0,
        last_term: int = 0,
        cut: int = 0,
        closed: int = 0,
        number: int = 0,
    ) -> None: ...
    def __eq__(self, other: object, /) -> bool: ...
    def copy(self) -> Head: ...
    def pack(self) -> bytes: ...
    @staticmethod
    def unpack(body: bytes) -> Head: ...
    @property
    def hard_state(self) -> HardState: ...
