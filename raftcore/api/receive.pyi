"""Where messages come in, one at a time or as the frames of a datagram, and commands and reads.

Its functions are visible from Cython only.
"""
