"""Snapshots as files beside the log (docs/design-storage.md, "Snapshots")."""
