"""Orders without a priority.

Fails: test_the_desk_says_how_urgent_it_is
Says: has the priority None
"""

from . import desk, office, printer, topology

__all__ = ["desk", "office", "printer", "topology"]
