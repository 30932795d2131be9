"""Whether the member operations have something to do: what every pass asks, and the answer is nearly always no."""


cdef class Due:
    """The part of ``MemberOperations`` that a pass looks at.

    Attributes:
        due: this node leads, and ``propose`` should be called once nothing else is under way.
        retry: a change was refused for a while; ``tick`` should be called once time has passed.
    """
