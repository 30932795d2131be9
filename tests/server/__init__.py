"""The HTTP API against real nodes."""
