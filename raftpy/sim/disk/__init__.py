"""A disk in memory, and a database on it, that fail as a seed says."""
