"""What is passed around: entries, messages, configuration changes, and the view of a store."""
