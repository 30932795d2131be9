"""Who counts: quorums, what the leader knows of each member, and changes of the configuration."""
