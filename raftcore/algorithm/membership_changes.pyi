"""Configuration changes in the log: proposing, applying, restoring.

Nothing in here is visible from Python: see membership_changes.pxd.
"""
