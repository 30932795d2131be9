"""Waiting, inside a pass, for what is about to come; the docstrings are in linger.pyx."""

import asyncio
from typing import final

@final
class Linger:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None: ...
    @property
    def possible(self) -> bool: ...
