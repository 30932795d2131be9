"""Copies and fingerprints of a node's whole state.

Nothing in here is visible from Python: see clone.pxd.
"""
