"""Linearizable reads that leave no entry in the log.

Nothing in here is visible from Python: see read_index.pxd.
"""
