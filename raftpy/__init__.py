"""Raft for Python: replicate your own state, durably."""
