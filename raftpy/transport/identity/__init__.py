"""Who may speak to whom: one incarnation of one disk to another."""
