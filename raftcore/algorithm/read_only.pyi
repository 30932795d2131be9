"""Reads that wait for a quorum. Its fields and methods are visible to Cython only (read_only.pxd)."""

from typing_extensions import disjoint_base

@disjoint_base
class ReadOnly: ...
