"""Election priority: which member should lead, as far as it can.

Nothing in here is visible from Python: see priority.pxd.
"""
