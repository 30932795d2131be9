"""What commands show while they work: on a terminal a picture that changes, elsewhere lines."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, Self


class LiveView:
    """Used as a context manager. ``options`` are those of ``rich.live.Live``, which is ``_live`` inside, on a terminal;
    elsewhere that is None."""

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._live: Any = None

    def __enter__(self) -> Self:
        if sys.stdout.isatty():
            from rich.live import Live

            self._live = Live(**self._options)
            self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, traceback)
            self._live = None

    def line(self, text: str) -> None:
        """One line that stays."""
        if self._live is not None:
            self._live.console.print(text, markup=False, highlight=False)
        else:
            print(text, flush=True)
