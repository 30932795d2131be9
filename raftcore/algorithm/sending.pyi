"""What leaves this node, and what a leader sends: appends, heartbeats, snapshots.

Nothing in here is visible from Python: see sending.pxd.
"""
