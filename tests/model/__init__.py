"""A second opinion on the core: a whole node in plain Python, and runs that compare the two call by call.

``python -m tests.model --seeds N`` is the command.

    quorum, log, confchange       one concept each, used by the unit tests too
    values, node_log, progress    messages and Readys; the log of a node; what a leader knows of a member
    state ... node                ModelNode, rule by rule (the list is in state)
    pair                          one node twice, core and model, over one store; the comparison
    schedule                      random settings and steps from a seed
    run                           what the steps do, and the network between the pairs
    check, report                 one seed: run, shrink, say what differs
    as_core                       ModelNode with RawNode's interface, to replay transcripts
"""
