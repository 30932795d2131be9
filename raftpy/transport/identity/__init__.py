"""Who may speak to whom: one incarnation of a node to one of another."""
