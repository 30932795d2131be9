"""The body of a message frame: a C interface only (body.pxd)."""
