"""Blocks of entries: a C interface only (block.pxd)."""
