"""Known bugs of other implementations, each as a scenario on whole nodes, written from its meaning.

A scenario decides what arrives when (``stage.py``), asserts that the situation was really reached, and that the rule it
is about held. Its file names where the bug was seen. ``CAUGHT`` lists the mistakes that make it fail: seeded bugs of
``tests/seeded_bugs`` by name, or ``Bug`` records of the scenario's own. ``python -m tests.sim.scenarios`` puts each in
a copy of the tree and runs the scenario there, which must fail; ``test_mistakes.py`` sees to it that the records fit
the source. When they were written each mistake was caught.
"""
