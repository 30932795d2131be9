"""The vocabulary of the core: number types, the state, message and entry kinds, and the local targets."""

APPEND_THREAD = 0xFFFFFFFFFFFFFFFF
APPLY_THREAD = 0xFFFFFFFFFFFFFFFE
NO_LIMIT = 0xFFFFFFFFFFFFFFFF

LOCAL_APPEND_THREAD = <object> APPEND_THREAD
LOCAL_APPLY_THREAD = <object> APPLY_THREAD
LARGEST_ID = LOCAL_APPLY_THREAD - 1  # of a node: the two above it name a node's own storage threads
UNLIMITED = <object> NO_LIMIT

# What the table of message types says of them, for those who read it from Python.
cdef tuple SETS = (
    ("local", LOCAL_TYPES),
    ("network", NETWORK_TYPES),
    ("response", RESPONSES),
    ("termless", TERMLESS_TYPES),
    ("term optional", TERM_OPTIONAL_TYPES),
    ("forwardable", FORWARDABLE_TYPES),
    ("campaign", CAMPAIGNS),
    ("promise", PROMISES),
    ("member", MEMBER_TYPES),
    ("echo", ECHOES),
    ("leader", LEADER_TYPES),
    ("common", COMMON_TYPES),
)


def message_words(int message_type):
    """What the table of message types says of one, as a frozenset of the words of docs/messages.md.

    Args:
        message_type: a :class:`MessageType`, or its number.

    Raises:
        ValueError: there is no such type.
    """
    if not 0 <= message_type < MESSAGE_TYPES:
        raise ValueError(f"message_type must be a MessageType (0 to {<int> MESSAGE_TYPES - 1}), not {message_type}")
    return frozenset([word for word, types in SETS if is_one_of(message_type, types)])
