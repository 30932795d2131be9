"""Log replication.

Nothing in here is visible from Python: see replication.pxd.
"""
