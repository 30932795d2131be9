"""Transports: identity, coalescing, faults, UDP."""
