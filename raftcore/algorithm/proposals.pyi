"""Appending to the leader's own log.

Nothing in here is visible from Python: see proposals.pxd.
"""
