"""Objects that must never be finalized, not even when the interpreter ends."""
from cpython.ref cimport Py_INCREF


def keep_for_ever(thing):
    """Nothing frees ``thing`` any more, and whatever it would do when it goes does not happen."""
    Py_INCREF(thing)
