"""Linearizable reads that leave no entry in the log (thesis 6.4). Nothing in here is visible from Python: see read_index.pxd."""
