"""Does not say why an invoice failed.

Fails: test_three_attempts_are_enough
Says: The text of the jam was
"""

from . import desk, office, printer, topology

__all__ = ["desk", "office", "printer", "topology"]
