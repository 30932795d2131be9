"""What turns the core's decisions into deeds: the loop, the proposals that wait, applying, the commit feed."""
