"""Puts a copy without a priority.

Fails: test_three_attempts_are_enough
Says: has the priority None
"""

from . import desk, office, printer, topology

__all__ = ["desk", "office", "printer", "topology"]
