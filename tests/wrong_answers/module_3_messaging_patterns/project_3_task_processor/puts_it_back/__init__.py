"""Gives an invoice that has jammed back to the queue.

Fails: test_a_jam_does_not_hold_up_the_others
Says: Tried, in this order: 1, 1, 2, 3
"""

from . import desk, office, printer, topology

__all__ = ["desk", "office", "printer", "topology"]
