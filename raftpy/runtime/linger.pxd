# Waiting, inside a pass, for what is about to come.
cimport cython

@cython.final
cdef class Linger:
    cdef int descriptor                 # the selector's; -1: this loop cannot be waited for
    cdef object ready                   # the loop's callbacks that are due
    cdef readonly unsigned int passing  # times to let pass without waiting
    cdef unsigned int in_vain           # of them, after the last time that nothing came; 0: something came

    cpdef bint wait(self) except -1
    cpdef void found(self, bint something) noexcept
