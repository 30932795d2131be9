"""Witness members: they vote and hold the log's terms, but no payloads.

Nothing in here is visible from Python: see witness.pxd.
"""
