"""A picture of a node at one moment.

Nothing in here is visible from Python: see status_snapshot.pxd.
"""
