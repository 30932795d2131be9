"""What makes up for one lost datagram in a group; the docstrings are in parity.pyx."""

from typing import Final, final

FRAME_PARITY: Final = 143
GROUP: Final = 16
MOST_GROUPS: Final = 64

@final
class Sum: ...

@final
class Parity:
    takes: bool
    @property
    def sent(self) -> int: ...

@final
class Groups: ...
