"""Elections: standing, voting, counting.

Nothing in here is visible from Python: see election.pxd.
"""
