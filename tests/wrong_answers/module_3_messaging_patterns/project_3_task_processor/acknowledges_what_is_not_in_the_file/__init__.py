"""Acknowledges a line that Python still has in memory.

Fails: test_the_book_has_one_line_an_id
Says: The disk of the office was full
"""

from . import desk, office, printer, topology

__all__ = ["desk", "office", "printer", "topology"]
