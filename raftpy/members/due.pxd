# Whether the member operations have something to do.

cdef class Due:
    cdef public bint due     # this node leads, and something may have to be proposed
    cdef public bint retry   # a change was refused for a while
