"""What the documentation shows is true: its commands, its examples, its links."""
