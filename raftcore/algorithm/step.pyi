"""The state machine itself: the term check that comes first, the table of handlers, the clock.

Nothing in here is visible from Python: see step.pxd.
"""
