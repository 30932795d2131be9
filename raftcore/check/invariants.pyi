"""What must hold within one node.

Nothing in here is visible from Python: see invariants.pxd.
"""
