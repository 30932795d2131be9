"""Appending to the leader's own log (paper 5.3), and the limit on what may lie there uncommitted. Nothing in here is visible from Python: see proposals.pxd."""
