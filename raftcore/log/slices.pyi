from typing import final

OVERHEAD: int

@final
class SliceCache:
    """The last few slices; its methods are a C interface (slices.pxd)."""

    def __init__(self) -> None: ...
