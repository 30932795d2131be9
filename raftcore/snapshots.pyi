"""Snapshots (paper 7): the follower's restore, and what the leader makes of the outcome. Nothing in here is visible from Python: see snapshots.pxd."""
