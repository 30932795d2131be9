"""Raft for Python: replicate your own state, durably."""

__version__ = "0.1.0"
