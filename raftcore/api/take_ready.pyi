"""What a core wants done, put into an outbox; and the answers to it.

Its functions are visible from Cython only.
"""
