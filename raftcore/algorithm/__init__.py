"""The algorithm of the paper, rule by rule; it decides, and does nothing."""
