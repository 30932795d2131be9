"""The Raft consensus algorithm and nothing else: no clock, no socket, no file, no unseeded random source."""
