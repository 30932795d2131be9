"""What no correct peer sends: refused with PeerFault before anything changes.

Nothing in here is visible from Python: see peer_checks.pxd.
"""
