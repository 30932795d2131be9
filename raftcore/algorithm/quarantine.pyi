"""From a leader that contradicts what is committed here to this node's quarantine.

Nothing in here is visible from Python: see quarantine.pxd.
"""
