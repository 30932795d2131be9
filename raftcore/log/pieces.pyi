from typing import final

@final
class Pieces:
    """The newest entries in the bytes that they came in; its methods are a C interface (pieces.pxd)."""

    count: int
    def __init__(self) -> None: ...
