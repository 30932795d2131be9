"""Frames of a datagram, and the body of one that carries a message: a C interface only (frame.pxd)."""
