"""For tests and exploration: imported by nothing else in this package."""
