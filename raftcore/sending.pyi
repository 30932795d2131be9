"""What a leader sends: appends, heartbeats, snapshots (paper 5.3, 7). Nothing in here is visible from Python: see sending.pxd."""
