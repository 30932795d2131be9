"""Leadership transfer.

Nothing in here is visible from Python: see transfer.pxd.
"""
