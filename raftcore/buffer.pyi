"""Foreign bytes: any object with the buffer protocol as a pointer and a size.

Nothing in here is visible from Python: see buffer.pxd.
"""
