"""What the key-value store holds of a key; the docstrings are in held.pyx."""

from typing import final

@final
class Held:
    def __new__(cls, version: int, value: bytes) -> Held: ...
    @property
    def version(self) -> int: ...
    @property
    def value(self) -> bytes: ...
