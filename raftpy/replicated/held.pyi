"""What the key-value store holds of a key; the docstrings are in held.pyx."""

from typing import final

@final
class Held:
    def __new__(cls, version: int = 0, value: bytes = b"") -> Held: ...
    @property
    def version(self) -> int: ...
    @property
    def value(self) -> bytes: ...
