"""How a frame of a datagram is read. Nothing in here is visible from Python: see frame.pxd."""
