"""Elections: standing, voting, counting (paper 5.2, 5.4.1; thesis 9.6). Nothing in here is visible from Python: see election.pxd."""
