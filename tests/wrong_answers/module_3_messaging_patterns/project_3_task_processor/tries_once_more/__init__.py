"""Takes the header for the number of attempts that there were, and tries four times.

Fails: test_three_attempts_are_enough
Says: Your printer tried 1 4 times
"""

from . import desk, office, printer, topology

__all__ = ["desk", "office", "printer", "topology"]
