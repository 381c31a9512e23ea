"""Counts the attempts in its memory, where no other printer sees them.

Fails: test_three_attempts_are_enough
Says: Your printer tried 1 3 times, 2 3 times
"""

from . import desk, office, printer, topology

__all__ = ["desk", "office", "printer", "topology"]
