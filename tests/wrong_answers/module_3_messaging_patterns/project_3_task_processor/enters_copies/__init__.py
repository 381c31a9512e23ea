"""Enters each result that comes.

Fails: test_the_book_has_one_line_an_id
Says: The results of 1, 2, 1 again, and 3 came. In the book is
"""

from . import desk, office, printer, topology

__all__ = ["desk", "office", "printer", "topology"]
