"""Configuration changes in the log: proposing, applying, restoring (thesis 4). Nothing in here is visible from Python: see membership.pxd."""
