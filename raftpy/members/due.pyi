"""Whether the member operations have something to do; the docstrings are in due.pyx."""

from typing_extensions import disjoint_base

@disjoint_base
class Due:
    due: bool
    retry: bool
