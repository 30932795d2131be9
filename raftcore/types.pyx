"""The vocabulary of the core: number types, the state, message and entry kinds, and the local targets."""

APPEND_THREAD = 0xFFFFFFFFFFFFFFFF
APPLY_THREAD = 0xFFFFFFFFFFFFFFFE
NO_LIMIT = 0xFFFFFFFFFFFFFFFF

LOCAL_APPEND_THREAD = <object> APPEND_THREAD
LOCAL_APPLY_THREAD = <object> APPLY_THREAD
UNLIMITED = <object> NO_LIMIT
