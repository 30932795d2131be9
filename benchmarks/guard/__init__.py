"""A guard against getting slower: instructions counted, because they do not depend on what else a machine does.

``python -m benchmarks.guard``; docs/testing.md says when it fails and what to do then.
"""
