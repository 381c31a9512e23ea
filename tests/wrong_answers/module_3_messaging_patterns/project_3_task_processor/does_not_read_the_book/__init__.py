"""Knows what it has entered itself, and not what is in the book.

Fails: test_the_book_has_one_line_an_id
Says: when the office had been closed and was open again
"""

from . import desk, office, printer, topology

__all__ = ["desk", "office", "printer", "topology"]
