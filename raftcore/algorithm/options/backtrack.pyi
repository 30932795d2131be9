"""Finding the last agreement of two logs in few round trips.

Nothing in here is visible from Python: see backtrack.pxd.
"""
