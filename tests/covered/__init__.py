"""Which lines of the core, and which outcomes of its conditions, its tests reach (docs/testing.md, "Coverage")."""
