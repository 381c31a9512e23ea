"""Puts a copy for the next attempt without a priority.

Fails: test_three_attempts_are_enough
Says: Invoice 2 was copied once, and has its label still
"""

from . import desk, office, printer, topology

__all__ = ["desk", "office", "printer", "topology"]
