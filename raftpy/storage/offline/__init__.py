"""What a data directory holds, read while no node runs on it, without changing a byte of it."""
