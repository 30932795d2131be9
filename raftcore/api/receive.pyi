"""Where messages come in: one at a time, or as the frames of a datagram.

Its functions are visible from Cython only.
"""
