"""The leader's lease: reads without a round trip.

Nothing in here is visible from Python: see lease.pxd.
"""
