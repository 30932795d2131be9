"""Nodes on networks of the kernel's own: namespaces, links with a size, a rate, loss and delay."""
