"""A queue of messages, for those that are taken from it one by one as often as they come.

Nothing in here is visible from Python: see queue.pxd.
"""
