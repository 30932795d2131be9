"""Snapshots.

Nothing in here is visible from Python: see snapshots.pxd.
"""
