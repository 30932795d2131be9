"""Foreign bytes: any object with the buffer protocol as a pointer and a size.

Nothing in here can be used from Python: see buffer.pxd.
"""

from typing import final

@final
class Buffer: ...
