"""Running nodes on virtual time."""
