"""The roles and the ways between them.

Nothing in here is visible from Python: see roles.pxd.
"""
