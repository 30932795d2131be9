"""A quiet leader's longer pause between two heartbeats.

Nothing in here is visible from Python: see quiet.pxd.
"""
