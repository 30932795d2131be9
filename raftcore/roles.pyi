"""The four roles and the ways between them (Figure 4, with thesis 9.6's pre-candidate). Nothing in here is visible from Python: see roles.pxd."""
