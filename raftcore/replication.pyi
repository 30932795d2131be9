"""Log replication (paper 5.3): the follower's side of appends and heartbeats, the leader's side of their answers. Nothing in here is visible from Python: see replication.pxd."""
