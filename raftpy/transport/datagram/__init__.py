"""Transports of datagrams: what all share, UDP, and one in memory."""
