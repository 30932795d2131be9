"""Leadership transfer (thesis 3.10): let the target catch up, then tell it to stand for election at once. Nothing in here is visible from Python: see transfer.pxd."""
